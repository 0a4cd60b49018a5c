import type {AnsweringProtocol} from '../answering-protocol.js'
import {diameterFields, serveDiameter} from '../diameter-server.js'

/** RFC 6733 section 11.4. */
export default {
  schemes: {
    diameter: ['tcp', 3868],
    diameters: ['tls', 5658],
    'diameter+tls': ['tls', 5658],
  },
  options: {identity: 'value', realm: 'value'},
  open: () => ({
    server: (endpoint) => (context) => serveDiameter(endpoint, context),
    fieldsOf: diameterFields,
  }),
} satisfies AnsweringProtocol
