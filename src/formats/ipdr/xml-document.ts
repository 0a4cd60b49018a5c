import type {DecodeContext, Decoder} from '../../record/format.js'
import {createTaker} from '../map/taker.js'
import {ipdrMapping} from './fields.js'

/** Octets that a record has at most. */
const MOST_RECORD = 1 << 20
/** How deep elements of a record may lie in each other. */
const MOST_DEPTH = 16

/** A character for each octet, so that places in the text are places in the input. */
export function latin1(octets: Uint8Array): string {
  let text = ''
  for (let at = 0; at < octets.length; at += 4096) {
    text += String.fromCharCode(...octets.subarray(at, at + 4096))
  }
  return text
}

const utf8 = new TextDecoder()

/** What such text says in UTF-8. */
function decoded(text: string): string {
  if (/^[\x00-\x7f]*$/.test(text)) return text
  return utf8.decode(Uint8Array.from(text, (octet) => octet.charCodeAt(0)))
}

/**
 * Documents in XML, version 3 and like it: each IPDR element becomes a record, with its type as the field `type`. Entities
 * that a document defines itself are not expanded.
 */
export function createXmlDecoder(context: DecodeContext): Decoder {
  const account = context.ledger.stage('ipdr', 'records')
  const taker = createTaker(ipdrMapping(), context, 'ipdr')
  let text = ''
  /** Octets in front of `text`. */
  let before = 0
  /** Records of the document at hand. */
  let count = 0

  /** Takes all records that are whole. */
  function read(): void {
    const opening = /<(?:\w+:)?(?:IPDR(?=[\s>])|IPDRDoc\.End\b)[^>]*>/g
    let done = 0
    for (let found = opening.exec(text); found !== null; found = opening.exec(text)) {
      const {index, 0: tag} = found
      if (tag.includes('IPDRDoc.End')) {
        const told = Number(/\bcount\s*=\s*["'](\d{1,15})["']/.exec(tag)?.[1] ?? count)
        // What the document says that it had, and has not.
        if (told > count) account.miss('document-count', told - count)
        else if (told < count) account.note('more-than-told', count - told)
        count = 0
        done = opening.lastIndex
        continue
      }
      if (tag.endsWith('/>')) {
        account.in++
        account.lose('empty', 1, before + index)
        done = opening.lastIndex
        continue
      }
      const closing = /<\/(?:\w+:)?IPDR\s*>/g
      closing.lastIndex = opening.lastIndex
      const end = closing.exec(text)
      if (end === null) {
        done = index
        break
      }
      count++
      account.in++
      const pairs = fieldsOf(decoded(text.slice(opening.lastIndex, end.index)))
      const type = /\btype\s*=\s*["']([^"']*)["']/.exec(tag)?.[1]
      if (pairs === undefined) account.lose('syntax', 1, before + index)
      else {
        if (type !== undefined) pairs.unshift(['type', unescaped(type)])
        if (taker.add(pairs, before + index)) account.out++
        else account.lose('no-field', 1, before + index)
      }
      done = closing.lastIndex
      opening.lastIndex = done
    }
    // What stands in front of an unfinished tag is not needed any more.
    if (done === 0 && text.length > MOST_RECORD) {
      account.in++
      account.lose('too-long', 1, before)
      done = text.length
    }
    text = text.slice(done)
    before += done
  }

  return {
    push(octets) {
      text += latin1(octets)
      const at = before
      read()
      return taker.take(at)
    },
    end() {
      if (/<(?:\w+:)?IPDR[\s>]/.test(text)) {
        account.in++
        account.lose('truncated', 1, before)
      }
      return taker.take(before)
    },
  }
}

/** Elements with their texts, those inside others with a dot between; undefined: they do not close as they open. */
function fieldsOf(inner: string): [string, string][] | undefined {
  const pairs: [string, string][] = []
  const names: string[] = []
  let content = ''
  let leaf = false
  const token = /<!--[^]*?-->|<!\[CDATA\[([^]*?)\]\]>|<(\/?)(?:[\w.-]+:)?([\w.-]+)([^>]*)>|[^<]+|</g
  for (const [all, cdata, slash, name, rest] of inner.matchAll(token)) {
    if (all.startsWith('<!--')) continue
    if (cdata !== undefined) content += cdata
    else if (name === undefined) {
      if (all === '<') return undefined
      content += unescaped(all)
    } else if (slash === '/') {
      if (names.at(-1) !== name) return undefined
      if (leaf) pairs.push([names.join('.'), content.trim()])
      names.pop()
      leaf = false
      content = ''
    } else if (rest.endsWith('/')) {
      pairs.push([[...names, name].join('.'), ''])
      leaf = false
    } else {
      if (names.push(name) > MOST_DEPTH) return undefined
      leaf = true
      content = ''
    }
  }
  return names.length === 0 ? pairs : undefined
}

const entities: Readonly<Record<string, string>> = {
  amp: '&',
  lt: '<',
  gt: '>',
  quot: '"',
  apos: "'",
}

function unescaped(text: string): string {
  return text.replace(/&(?:#(\d{1,7})|#x([\da-f]{1,6})|(\w+));/gi, (all, decimal, hex, name) => {
    if (name !== undefined) return entities[String(name)] ?? String(all)
    const code = decimal === undefined ? parseInt(String(hex), 16) : Number(decimal)
    return code < 0x110000 ? String.fromCodePoint(code).toWellFormed() : String(all)
  })
}
