import type {Selector} from '../selector.js'

/** Addresses, protocol and ports: finer balance between few hosts; see Selector.ports for what fragments do. */
export default {
  summary: 'addresses, protocol and ports; fragments go by addresses',
  kind: 'hash',
  addresses: 'both',
  protocol: true,
  ports: true,
} satisfies Selector
