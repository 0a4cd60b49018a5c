import type {Selector} from '../selector.js'

/** Each packet in its turn: the flattest load, but a Flow is spread over all nodes. */
export default {
  summary: 'packets in turn',
  kind: 'turn',
  addresses: 'both',
  protocol: false,
  ports: false,
} satisfies Selector
