import type {AnsweringProtocol} from '../answering-protocol.js'
import {credentialsOf} from '../snmp/credentials.js'
import {notificationFieldsOf, serveNotifications} from '../snmp/notification-server.js'
import {loadSnmpPackage} from '../snmp/package.js'

/** RFC 3417 section 3. */
export default {
  schemes: {snmptrap: ['udp', 162]},
  options: {'secret-file': 'value'},
  open: () => ({
    server(at) {
      const credentials = credentialsOf(at.options.get('secret-file'), at.endpoint.name)
      const snmp = loadSnmpPackage()
      return (context) => serveNotifications(at, credentials, snmp, context)
    },
    fieldsOf: notificationFieldsOf,
  }),
} satisfies AnsweringProtocol
