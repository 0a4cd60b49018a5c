import type {RecordBatch} from '../../record/batch.js'
import {makeRowReader, type RowReader, type RowSink} from '../../record/group-reader.js'
import type {GroupSpec, KeyShape} from '../../record/group-spec.js'
import {makeShape, viewsOf} from '../../record/group-view.js'
import {append, createOctetWriter, extend} from '../../record/octet-writer.js'
import type {Template} from '../../record/template.js'
import type {RoutingKey} from './app.js'

/** The key of record `index`, octets that are good until the next call; undefined: it has none. */
export type RoutingKeyReader = (batch: RecordBatch, index: number) => Uint8Array | undefined

/**
 * Reads routing keys. Equal keys are equal octets in every process, however the record was encoded: per part
 * its alternative (255: missing), then the value; one of variable length has its length before it (4 octets).
 */
export function createRoutingKeyReader(key: RoutingKey): RoutingKeyReader {
  const spec: GroupSpec = {...key, columns: []}
  const shapes = new Map<string, KeyShape>()
  const readers = new WeakMap<Template, RowReader>()
  const writer = createOctetWriter(64)
  let interned: Uint8Array[] = []

  function shapeOf(alternatives: readonly number[]): KeyShape {
    const signature = alternatives.join()
    let shape = shapes.get(signature)
    if (shape === undefined) {
      shape = makeShape(spec, alternatives)!
      shapes.set(signature, shape)
    }
    return shape
  }

  const sink: RowSink = {
    intern: (octets) => interned.push(octets) - 1,
    row(shape, row) {
      writer.length = 0
      for (const {alternative, offset, length, interned: numbered} of shape.fields) {
        const at = extend(writer, 1)
        writer.octets[at] = alternative
        if (alternative < 0) continue
        const octets = row.subarray(offset, offset + length)
        if (numbered) {
          const value = interned[new DataView(row.buffer, row.byteOffset + offset).getUint32(0)]
          const place = extend(writer, 4)
          writer.view.setUint32(place, value.length)
          append(writer, value)
        } else {
          append(writer, octets)
        }
      }
    },
  }

  return (batch, index) => {
    let read = readers.get(batch.template)
    if (read === undefined) {
      read = makeRowReader(spec, viewsOf(spec, batch.template), shapeOf)
      readers.set(batch.template, read)
    }
    interned = []
    if (!read(batch, index, sink)) return undefined
    return writer.octets.subarray(0, writer.length)
  }
}
