/** Names of the semantics of RFC 6313 section 4.4 by number; others are written as their number. */
export const listSemantics = new Map([
  [0, 'noneOf'],
  [1, 'exactlyOneOf'],
  [2, 'oneOrMoreOf'],
  [3, 'allOf'],
  [4, 'ordered'],
  [255, 'undefined'],
])
