// An analysis application of one's own: sources by the number of destinations that they spoke to, as scans and worms
// do with many. What an application is, and what it may never do, is in src/processing/analysis/app.ts.
//
//     darta capture -r lan.pcap | darta analyze ./examples/fan-out.js -k 5

export default {
  summary: 'Sources by how many destinations they spoke to',
  options: {
    top: {
      kind: 'number',
      char: 'k',
      min: 0,
      max: 1_000_000,
      default: 10,
      summary: 'How many sources; 0 is all.',
    },
  },

  prepare({top}, {ie, flowKey, flowColumns, createGroupTable, resultBatches, keyFields, keyText}) {
    const key = [flowKey('srcip'), flowKey('dstip')]
    return {
      needs: key.map(({elements}) => elements),
      uses: [],
      // All Flows of a source meet in one unit. Its destinations may be shared by several: the pairs are merged.
      routingKey: {key: [key[0]]},
      splittable: true,
      createState({maxOctets}) {
        const pairs = createGroupTable({key, columns: flowColumns}, {maxOctets})
        return {
          add: (batches) => pairs.add(batches),
          merge: (snapshot) => pairs.merge(snapshot),
          snapshot: () => pairs.snapshot(),
          results(message) {
            const sources = new Map()
            pairs.eachRow((row) => {
              const name = keyText(row, 0)
              const destinations = (sources.get(name)?.destinations ?? 0) + 1
              sources.set(name, {name, fields: keyFields(row, 0), destinations})
            })
            // The order must not hang on the order of the records: equal counts go by name.
            const sorted = [...sources.values()].sort(
              (a, b) => b.destinations - a.destinations || (a.name < b.name ? -1 : 1),
            )
            const some = top === 0 ? sorted : sorted.slice(0, top)
            const count = ie.distinctCountOfDestinationIPAddress
            return resultBatches(
              message,
              some.map(({fields, destinations}) => ({fields: [...fields, [count, destinations]]})),
            )
          },
          memoryOctets: () => pairs.memoryOctets(),
          close: () => pairs.close(),
        }
      },
    }
  },
}
