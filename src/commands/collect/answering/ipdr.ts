import {readStoredRecord} from '../../../mediation/ipdr/stored-record.js'
import type {AnsweringProtocol} from '../answering-protocol.js'
import {createIpdrRecords} from '../ipdr-records.js'
import {ipdrOptions, serveIpdr} from '../ipdr-server.js'

/** IPDR/SP 2.3 section 3.1; the port of IANA. */
export default {
  schemes: {ipdr: ['tcp', 4737], 'ipdr+tls': ['tls', 4737]},
  options: {connect: 'alone', sessions: 'value', fields: 'value', 'keep-alive': 'value'},
  open(ledger) {
    const records = createIpdrRecords(ledger, () => ledger.stage('ipdr', 'records'))
    return {
      server(endpoint) {
        const options = ipdrOptions(endpoint)
        return (context) => serveIpdr(endpoint, options, records, context)
      },
      fieldsOf({octets}) {
        const record = readStoredRecord(octets)
        return record && records.fieldsOf(record, 0)
      },
    }
  },
} satisfies AnsweringProtocol
