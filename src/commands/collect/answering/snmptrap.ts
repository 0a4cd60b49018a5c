import {DartaError} from '../../../record/errors.js'
import type {AnsweringProtocol} from '../answering-protocol.js'
import {credentialsOf, warningOf} from '../snmp/credentials.js'
import {notificationFieldsOf, serveNotifications} from '../snmp/notification-server.js'
import {loadSnmpPackage} from '../snmp/package.js'

/** RFC 3417 section 3. */
export default {
  schemes: {snmptrap: ['udp', 162]},
  options: {'secret-file': 'value', 'engine-id': 'value'},
  open: () => ({
    server(at) {
      const credentials = credentialsOf(at.options.get('secret-file'), at.endpoint.name)
      const engineId = engineIdOf(at.options.get('engine-id'), at.endpoint.name)
      const snmp = loadSnmpPackage()
      const warning = warningOf(credentials.users)
      return (context) => {
        if (warning !== undefined) context.say(`${at.endpoint.name}: ${warning}`)
        return serveNotifications(at, credentials, snmp, engineId, context)
      }
    },
    fieldsOf: notificationFieldsOf,
  }),
} satisfies AnsweringProtocol

/** Of 5 to 32 octets, neither all zeros nor all ones. RFC 3411 section 5. @throws DartaError DARTA_USAGE */
function engineIdOf(text: string | undefined, name: string): string | undefined {
  if (text === undefined) return undefined
  const digits = text.replace(/^0x/i, '').toLowerCase()
  if (!/^(?:[0-9a-f]{2}){5,32}$/.test(digits) || /^(?:0+|f+)$/.test(digits)) {
    throw new DartaError(
      'DARTA_USAGE',
      `${name}: engine-id: expected 5 to 32 octets as hexadecimal digits, not '${text}'`,
    )
  }
  return digits
}
