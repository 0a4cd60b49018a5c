import type {Selector} from '../selector.js'

/** The destination address: all that a host receives on one node. */
export default {
  summary: 'destination address',
  kind: 'hash',
  addresses: 'dst',
  protocol: false,
  ports: false,
} satisfies Selector
