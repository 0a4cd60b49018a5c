import type {AnsweringProtocol} from '../answering-protocol.js'
import {radiusFields, secretsOf, serveRadius} from '../radius-server.js'

/** RFC 2866 section 3. */
export default {
  schemes: {radius: ['udp', 1813]},
  options: {'secret-file': 'value'},
  open: () => ({
    server(endpoint) {
      const secrets = secretsOf(endpoint)
      return (context) => serveRadius(endpoint, secrets, context)
    },
    fieldsOf: radiusFields,
  }),
} satisfies AnsweringProtocol
