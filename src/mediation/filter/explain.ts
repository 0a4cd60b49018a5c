import type {InformationElement} from '../../record/element.js'
import {testsOf, type Expression, type Source} from './expression.js'

/** The tree of an expression, one test a line. */
export function explainFilter(expression: Expression): string {
  const lines: string[] = []
  const walk = (node: Expression, indent: string): void => {
    switch (node.kind) {
      case 'constant':
        lines.push(`${indent}${node.value ? 'every record' : 'no record'}`)
        break
      case 'and':
      case 'or':
        lines.push(`${indent}${node.kind === 'and' ? 'all of' : 'any of'}`)
        for (const part of node.of) walk(part, `${indent}  `)
        break
      case 'not':
        lines.push(`${indent}not`)
        walk(node.of, `${indent}  `)
        break
      case 'members':
        lines.push(
          `${indent}${node.quantifier} member of ${node.list?.name ?? 'a list'} of the record`,
        )
        walk(node.of, `${indent}  `)
        break
      case 'test':
        lines.push(`${indent}${node.text}${reads(node.sources)}`)
    }
  }
  walk(expression, '')
  return `${lines.join('\n')}\n`
}

function reads(sources: readonly Source[]): string {
  if (sources.length === 0) return ''
  const each = sources.map((source) => source.map(({name}) => name).join(' or else '))
  return `   # ${each.join(', ')}`
}

/** The elements that an expression reads where a Template has them, by name. */
export function elementsOf(expression: Expression): string[] {
  const elements = new Set<InformationElement>()
  for (const {sources, condition} of testsOf(expression)) {
    const others = condition.kind === 'between' ? [condition.least, condition.most] : []
    for (const source of [...sources, ...others])
      for (const element of source) elements.add(element)
  }
  return [...elements].map(({name}) => name).sort()
}

/** The tree as an object that JSON can hold. */
export function filterTree(expression: Expression): object {
  switch (expression.kind) {
    case 'constant':
      return {kind: 'constant', value: expression.value}
    case 'not':
      return {kind: 'not', of: filterTree(expression.of)}
    case 'and':
    case 'or':
      return {kind: expression.kind, of: expression.of.map(filterTree)}
    case 'members':
      return {
        kind: 'members',
        quantifier: expression.quantifier,
        list: expression.list?.name ?? null,
        of: filterTree(expression.of),
      }
    case 'test':
      return {
        kind: 'test',
        text: expression.text,
        condition: expression.condition.kind,
        elements: expression.sources.map((source) => source.map(({name}) => name)),
      }
  }
}
