import assert from 'node:assert/strict'
import {readdirSync} from 'node:fs'
import {join} from 'node:path'
import test from 'ava'
import {createDecoder} from '../../src/ipfix/decoder.js'
import {createEncoder} from '../../src/ipfix/encoder.js'
import {apps} from '../../src/processing/analysis/apps/index.js'
import {
  defaultOptions,
  type Analysis,
  type AnalysisApp,
  type AnalysisState,
  type AppOption,
} from '../../src/processing/analysis/app.js'
import {
  createProcessingUnit,
  type Windowing,
} from '../../src/processing/analysis/processing-unit.js'
import {toolbox} from '../../src/processing/analysis/toolbox.js'
import {createRoutingKeyReader} from '../../src/processing/analysis/routing-key.js'
import {keepRecords, type RecordBatch} from '../../src/record/batch.js'
import type {DartaError} from '../../src/record/errors.js'
import {fieldIndex} from '../../src/record/template.js'
import {kernels} from '../../src/record/kernels.js'
import {Ledger, StageLedger} from '../../src/record/ledger.js'
import {createPlainGroups} from '../../src/record/plain-groups.js'
import {REVERSE_PEN} from '../../src/record/element.js'
import {elementByNumber, ie} from '../../src/registry/lookup.js'
import {addon, native} from '../support/native-addon.js'
import {needing, root} from '../support/needing.js'
import fc from '../support/properties.js'
import {noMessage} from '../support/records.js'
import {cook, someRecipe} from '../support/recipes.js'
import {plainRecords} from '../support/results.js'

const limits = {maxOctets: 0}
const style = {units: 'none', names: true} as const
const someRecipes = fc.array(someRecipe, {maxLength: 8})
const runs = {numRuns: 20}

/** Values of an option other than its default. */
function otherValues(option: AppOption): unknown[] {
  switch (option.kind) {
    case 'flag':
      return [true]
    case 'number':
      return [option.min, option.min + 1]
    case 'text':
      return (option.choices ?? []).filter((choice) => choice !== option.default)
    case 'texts':
    case 'file':
      return []
  }
}

/** The application as users get it, and with each option changed by itself. */
function analyses(app: AnalysisApp): Record<string, Analysis> {
  const usual = defaultOptions(app)
  const all: Record<string, Analysis> = {'as it is': app.prepare(usual, toolbox)}
  for (const [name, option] of Object.entries(app.options)) {
    for (const value of otherValues(option)) {
      const options = {...usual, [name]: value} as typeof usual
      all[`${name} ${String(value)}`] = app.prepare(options, toolbox)
    }
  }
  return all
}

/** Records that an application is given: those it needs no element of that they lack. */
function applicable(analysis: Analysis, batches: readonly RecordBatch[]): RecordBatch[] {
  return batches.filter(({template}) =>
    analysis.needs.every((group) => group.some((e) => fieldIndex(template, e) >= 0)),
  )
}

function stateOf(analysis: Analysis, batches: readonly RecordBatch[]): AnalysisState {
  const state = analysis.createState(limits)
  state.add(applicable(analysis, batches))
  return state
}

/** All that anybody sees of a state. */
function seen(state: AnalysisState): unknown {
  return [plainRecords(state.results(noMessage)), state.table?.(style)]
}

function isBiflow({template}: RecordBatch): boolean {
  return template.fields.some(({element}) => element.enterpriseNumber === REVERSE_PEN)
}

for (const [name, load] of Object.entries(apps)) {
  const app: unknown = (await load()).default
  complies(name, app as AnalysisApp)
}

// What users are shown as a model has to be one. Plugins read formats: test/formats has theirs.
const models = readdirSync(join(root, 'examples')).filter((name) => /(?<!-plugin)\.js$/.test(name))
for (const file of models) {
  const {default: app} = (await import(join(root, 'examples', file))) as {default: unknown}
  complies(`examples/${file}`, app as AnalysisApp)
}

function complies(name: string, app: AnalysisApp): void {
  test(`${name}: says what it does in one line and what each option does`, (t) => {
    t.regex(app.summary, /^[A-Z].{10,100}[^.\s]$/)
    for (const [option, {summary}] of Object.entries(app.options)) {
      t.regex(option, /^[a-z][A-Za-z0-9]*$/)
      t.regex(summary, /^[A-Z].+\.$/)
    }
    const letters = Object.values(app.options).flatMap(({char}) => char ?? [])
    t.is(new Set(letters).size, letters.length)
    // Those are the command's own.
    for (const letter of letters) t.notRegex(letter, /[hrwoznNqv]/)
  })

  for (const [title, analysis] of Object.entries(analyses(app))) {
    const says = (what: string): string => `${name}, ${title}: ${what}`

    test(
      says('what parts have seen, merged in any order, is what one has seen of the whole'),
      (t) => {
        fc.assert(
          fc.property(
            fc.array(fc.tuple(someRecipe, fc.nat(2)), {maxLength: 10}),
            fc.constantFrom([0, 1, 2], [2, 1, 0], [1, 2, 0]),
            (parts, order) => {
              const batches = parts.map(([recipe]) => cook(recipe))
              const units = [0, 1, 2].map((unit) =>
                stateOf(
                  analysis,
                  batches.filter((_, i) => parts[i][1] === unit),
                ),
              )
              const merged = analysis.createState(limits)
              for (const unit of order) merged.merge(units[unit].snapshot(false))
              assert.deepEqual(seen(merged), seen(stateOf(analysis, batches)))
            },
          ),
          runs,
        )
        t.pass()
      },
    )

    test(says('merging is associative'), (t) => {
      fc.assert(
        fc.property(someRecipe, someRecipe, someRecipe, (a, b, c) => {
          const [x, y, z] = [a, b, c].map((r) => stateOf(analysis, [cook(r)]).snapshot(false))
          const merge = (...snapshots: Uint8Array[]): Uint8Array => {
            const state = analysis.createState(limits)
            for (const snapshot of snapshots) state.merge(snapshot)
            return state.snapshot(false)
          }
          const read = (snapshot: Uint8Array): unknown => {
            const state = analysis.createState(limits)
            state.merge(snapshot)
            return seen(state)
          }
          assert.deepEqual(read(merge(merge(x, y), z)), read(merge(x, merge(y, z))))
        }),
        runs,
      )
      t.pass()
    })

    test(says('a state restored from a snapshot is the same and goes on the same'), (t) => {
      fc.assert(
        fc.property(someRecipes, someRecipes, (before, after) => {
          const state = stateOf(analysis, before.map(cook))
          const restored = analysis.createState(limits)
          restored.merge(state.snapshot(false))
          assert.deepEqual(seen(restored), seen(state))
          for (const s of [state, restored]) s.add(applicable(analysis, after.map(cook)))
          assert.deepEqual(seen(restored), seen(state))
        }),
        runs,
      )
      t.pass()
    })

    test(says('records one by one, backwards, give what they give in batches'), (t) => {
      fc.assert(
        fc.property(someRecipes, (recipes) => {
          const batches = recipes.map(cook)
          const single = batches.flatMap((batch) =>
            Array.from({length: batch.count}, (_, i) => keepRecords(batch, [i])),
          )
          assert.deepEqual(
            seen(stateOf(analysis, single.reverse())),
            seen(stateOf(analysis, batches)),
          )
        }),
        runs,
      )
      t.pass()
    })

    const {routingKey} = analysis
    if (routingKey !== undefined) {
      test(
        says('units that are routed to by its key need to tell only what can be a result'),
        (t) => {
          const read = createRoutingKeyReader(routingKey)
          fc.assert(
            fc.property(someRecipes, fc.integer({min: 1, max: 4}), (recipes, count) => {
              const batches = applicable(analysis, recipes.map(cook)).filter((b) => !isBiflow(b))
              const units = Array.from({length: count}, () => analysis.createState(limits))
              for (const batch of batches) {
                for (let i = 0; i < batch.count; i++) {
                  let unit = 0
                  for (const octet of read(batch, i) ?? []) unit = (unit * 31 + octet) % 65521
                  units[unit % count].add([keepRecords(batch, [i])])
                }
              }
              const merged = analysis.createState(limits)
              for (const unit of units) merged.merge(unit.snapshot(true))
              assert.deepEqual(seen(merged), seen(stateOf(analysis, batches)))
            }),
            runs,
          )
          t.pass()
        },
      )
    }

    test(says('results are records of registered elements that survive IPFIX unchanged'), (t) => {
      fc.assert(
        fc.property(someRecipes, (recipes) => {
          const results = [...stateOf(analysis, recipes.map(cook)).results(noMessage)]
          for (const {template} of results) {
            for (const {element} of template.fields) {
              const known = elementByNumber(element.enterpriseNumber, element.elementId)
              assert.equal(known, element)
            }
          }
          const encoder = createEncoder({ledger: new Ledger()})
          const chunks = [...encoder.push(results), ...encoder.end()]
          const decoder = createDecoder({ledger: new Ledger(), source: 'test'})
          const decoded = [...chunks.flatMap((chunk) => decoder.push(chunk)), ...decoder.end()]
          // The encoder says what darta's own elements are (RFC 5610).
          const own = decoded.filter(
            ({template}) => fieldIndex(template, ie.informationElementId) < 0,
          )
          assert.deepEqual(plainRecords(own), plainRecords(results))
        }),
        runs,
      )
      t.pass()
    })

    test(says('its table has whole lines and no control characters'), (t) => {
      fc.assert(
        fc.property(someRecipes, (recipes) => {
          const text = stateOf(analysis, recipes.map(cook)).table?.(style) ?? ''
          assert.match(text, /^(?:[^\p{Cc}]*\n)*$/u)
          assert.doesNotMatch(text, / \n/)
        }),
        runs,
      )
      t.pass()
    })

    test(
      says('all records are counted, and windows have the results of their records alone'),
      (t) => {
        const windowing: Windowing = {
          lengthMs: 20_000,
          slideMs: 20_000,
          latenessMs: 0,
          watermark: 'given',
        }
        fc.assert(
          fc.property(someRecipes, (recipes) => {
            const batches = recipes.map(cook)
            const ledger = new StageLedger('test', 'records')
            const unit = createProcessingUnit(analysis, {windowing, maxOctets: 0, ledger})
            unit.add(batches)
            const windows = unit.finish()
            const sum = (of: Map<string, number>): number =>
              [...of.values()].reduce((a, b) => a + b, 0)
            const ofBiflows = ledger.noted.get('of-biflows') ?? 0
            assert.equal(ledger.in, batches.reduce((n, b) => n + b.count, 0) + ofBiflows)
            assert.equal(ledger.in, ledger.out + sum(ledger.skipped) + sum(ledger.lost))
            const whole = analysis.createState(limits)
            for (const {state} of windows) whole.merge(state.snapshot(false))
            const direct = new StageLedger('test', 'records')
            const one = createProcessingUnit(analysis, {maxOctets: 0, ledger: direct})
            one.add(batches)
            if (sum(ledger.lost) === 0) {
              assert.equal(direct.out, ledger.out)
              assert.deepEqual(seen(whole), seen(one.finish()[0].state))
            }
          }),
          runs,
        )
        t.pass()
      },
    )

    test(says('a snapshot that is cut or of something else is refused'), (t) => {
      const state = analysis.createState(limits)
      const snapshot = state.snapshot(false)
      for (let cut = 0; cut < snapshot.length; cut++) {
        const error = t.throws<DartaError>(() => state.merge(snapshot.subarray(0, cut)))
        t.is(error?.code, 'DARTA_VALUE', `cut to ${cut}`)
      }
    })

    needing(native)(says('the native kernel changes nothing in its results'), (t) => {
      const before = kernels.groups
      const under = (create: typeof before, batches: RecordBatch[]): unknown => {
        kernels.groups = create
        try {
          return seen(stateOf(analysis, batches))
        } finally {
          kernels.groups = before
        }
      }
      fc.assert(
        fc.property(someRecipes, (recipes) => {
          const batches = recipes.map(cook)
          assert.deepEqual(under(addon!.createGroups, batches), under(createPlainGroups, batches))
        }),
        runs,
      )
      t.pass()
    })
  }
}
