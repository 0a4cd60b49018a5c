import {keepRecords, recordEnd, recordStart, type RecordBatch} from '../../record/batch.js'
import {DartaError} from '../../record/errors.js'
import {FAIL, PASS, SPAN, type Sift} from '../../record/filter-kernel.js'
import {kernels} from '../../record/kernels.js'
import type {Template} from '../../record/template.js'
import {testsOf, type Expression} from './expression.js'
import {makeProgram} from './program.js'
import {canBeAsked, matchOf, resolve, type Match} from './resolve.js'

export interface RecordFilterOptions {
  /** Records pass that do not match. */
  readonly invert?: boolean
  /**
   * Options Records tell about the stream and not of traffic: they pass (default) without being asked, are
   * dropped, or are tested as others are.
   */
  readonly options?: 'pass' | 'drop' | 'test'
  /** A Template without what a test asks for is an error; else the test does not hold. */
  readonly strict?: boolean
  /** What is wanted besides counts: records that pass, and those that do not. */
  readonly passed?: boolean
  readonly failed?: boolean
  /** Is told how many of so many records have passed that `RecordFilter.sift` has decided about; they are not in `Filtered`. */
  readonly sifted?: (tested: number, matched: number) => void
}

/** What a filter made of some batches. */
export interface Filtered {
  /** In the order in which they came, Options Records among them. */
  readonly passed: readonly RecordBatch[]
  readonly failed: readonly RecordBatch[]
  /** Records asked, and of these those that passed. */
  readonly tested: number
  readonly matched: number
  /** Options Records that were not asked, and went along or not. */
  readonly options: number
}

/** Decides for batches of records; it keeps no state but what it has compiled. */
export interface RecordFilter {
  /** @throws DartaError DARTA_USAGE with `strict` */
  run(batches: readonly RecordBatch[]): Filtered
  /** For who reads the records that `run` gets; undefined where it cannot help: with `strict` or `failed`, or without a kernel. */
  readonly sift: Sift | undefined
  close(): void
}

type Plan =
  | {readonly kind: 'all' | 'none' | 'options'}
  | {readonly kind: 'program'; readonly id: number}
  | {readonly kind: 'match'; readonly match: Match}

/** Plans are looked up by Template object; this many are remembered. */
const MAX_PLANS = 4096
const NOTHING = new Uint8Array(0)

export function createRecordFilter(
  expression: Expression,
  options: RecordFilterOptions = {},
): RecordFilter {
  const {
    invert = false,
    strict = false,
    passed: wantPassed = true,
    failed: wantFailed = false,
  } = options
  const ofOptions = options.options ?? 'pass'
  const whole: Expression = invert ? {kind: 'not', of: expression} : expression
  const kernel = kernels.filter?.()
  /** Over these all records have passed. */
  const sifted = new Set<Uint8Array>()
  const plans = new Map<Template, Plan>()
  const byLayout = new Map<string, Plan>()
  let last: Template | undefined
  let lastPlan: Plan | undefined
  let spans = new Uint32Array(SPAN * 1024)
  let counts = new Uint32Array(1024)

  function planOf(template: Template): Plan {
    if (template === last) return lastPlan!
    let plan = plans.get(template)
    if (plan === undefined) {
      plan = makePlan(template)
      if (plans.size >= MAX_PLANS) plans.clear()
      plans.set(template, plan)
    }
    last = template
    lastPlan = plan
    return plan
  }

  function makePlan(template: Template): Plan {
    if (template.scopeCount > 0 && ofOptions !== 'test') return {kind: 'options'}
    if (strict) check(template)
    const resolved = resolve(whole, template)
    if (resolved.kind === 'constant') return {kind: resolved.value ? 'all' : 'none'}
    // A kernel keeps its programs: who sends ever new Templates gets the functions.
    const program =
      byLayout.size < MAX_PLANS ? kernel && makeProgram(resolved, template) : undefined
    if (program === undefined) return {kind: 'match', match: matchOf(resolved, template)}
    // Exporters that send their Templates again make no new programs; learned types change what a layout means.
    const key = `${template.layout}|${template.fields.map(({element}) => element.type).join()}`
    let known = byLayout.get(key)
    if (known === undefined) {
      known = {kind: 'program', id: kernel!.program(program)}
      byLayout.set(key, known)
    }
    return known
  }

  function check(template: Template): void {
    for (const test of testsOf(expression)) {
      if (canBeAsked(test, template)) continue
      throw new DartaError(
        'DARTA_USAGE',
        `--strict: records of Template ${template.id} have nothing that '${test.text}' could ask`,
      )
    }
  }

  const result = {
    passed: [] as RecordBatch[],
    failed: [] as RecordBatch[],
    tested: 0,
    matched: 0,
    options: 0,
  }

  function run(batches: readonly RecordBatch[]): Filtered {
    Object.assign(result, {passed: [], failed: [], tested: 0, matched: 0, options: 0})
    for (let i = 0; i < batches.length;) {
      // Batches over the same octets go through the kernel together.
      let end = i + 1
      while (end < batches.length && batches[end].octets === batches[i].octets) end++
      if (!sifted.has(batches[i].octets)) segment(batches, i, end)
      else if (wantPassed) result.passed.push(...batches.slice(i, end))
      i = end
    }
    sifted.clear()
    return {...result}
  }

  function segment(batches: readonly RecordBatch[], from: number, to: number): void {
    let n = 0
    let size = 0
    for (let i = from; i < to; i++) {
      const batch = batches[i]
      const plan = planOf(batch.template)
      if (plan.kind !== 'program') continue
      const {offsets, count} = batch
      reserve(n + (offsets === undefined ? 1 : count))
      if (offsets === undefined) {
        const {recordOctets} = batch.template
        put(n++, batch.start, count, recordOctets, plan.id)
        size += count * recordOctets
      } else {
        for (let r = 0; r < count; r++) {
          put(n++, offsets[r], 1, offsets[r + 1] - offsets[r], plan.id)
        }
        size += offsets[count] - offsets[0]
      }
    }
    let kept: Copy | undefined
    let rest: Copy | undefined
    if (n > 0) {
      const {octets} = batches[from]
      kept = runKernel(octets, n, wantPassed ? size : 0, false)
      if (wantFailed) rest = runKernel(octets, n, size, true)
    }
    let span = 0
    for (let i = from; i < to; i++) {
      const batch = batches[i]
      const plan = planOf(batch.template)
      switch (plan.kind) {
        case 'options':
          result.options += batch.count
          if (ofOptions === 'drop') break
          if (wantPassed) result.passed.push(batch)
          if (wantFailed) result.failed.push(batch)
          break
        case 'all':
          decided(batch, batch.count)
          break
        case 'none':
          decided(batch, 0)
          break
        case 'match':
          matched(batch, plan.match)
          break
        case 'program': {
          const spansOf = batch.offsets === undefined ? 1 : batch.count
          let passing = 0
          for (let s = span; s < span + spansOf; s++) passing += counts[s]
          if (passing === 0 || passing === batch.count) {
            decided(batch, passing)
            if (passing > 0) kept = behind(kept!, batch)
            else if (rest !== undefined) rest = behind(rest, batch)
          } else {
            result.tested += batch.count
            result.matched += passing
            if (wantPassed) kept = take(result.passed, kept!, batch, span, passing, false)
            if (rest !== undefined) {
              rest = take(result.failed, rest, batch, span, batch.count - passing, true)
            }
          }
          span += spansOf
        }
      }
    }
  }

  function reserve(n: number): void {
    while (SPAN * n > spans.length) {
      const longer = new Uint32Array(2 * spans.length)
      longer.set(spans)
      spans = longer
      counts = new Uint32Array(longer.length / SPAN)
    }
  }

  function put(n: number, start: number, count: number, octets: number, program: number): void {
    const at = SPAN * n
    spans[at] = start
    spans[at + 1] = count
    spans[at + 2] = octets
    spans[at + 3] = program
  }

  function runKernel(octets: Uint8Array, n: number, size: number, failing: boolean): Copy {
    const into = size === 0 ? NOTHING : new Uint8Array(size)
    kernel!.run(octets, spans, n, counts, into, failing)
    return {octets: into, view: new DataView(into.buffer), at: 0}
  }

  function decided(batch: RecordBatch, passing: number): void {
    result.tested += batch.count
    result.matched += passing
    if (passing > 0 && wantPassed) result.passed.push(batch)
    if (passing === 0 && wantFailed) result.failed.push(batch)
  }

  function matched(batch: RecordBatch, match: Match): void {
    const passing: number[] = []
    const failing: number[] = []
    for (let i = 0; i < batch.count; i++) (match(batch, i) ? passing : failing).push(i)
    if (passing.length === 0 || failing.length === 0) {
      decided(batch, passing.length)
      return
    }
    result.tested += batch.count
    result.matched += passing.length
    if (wantPassed) result.passed.push(keepRecords(batch, passing))
    if (wantFailed) result.failed.push(keepRecords(batch, failing))
  }

  /** Takes `count` records that the kernel has copied of a batch. */
  function take(
    list: RecordBatch[],
    copy: Copy,
    batch: RecordBatch,
    span: number,
    count: number,
    failing: boolean,
  ): Copy {
    const {octets, view, at} = copy
    let end = at + count * batch.template.recordOctets
    let offsets: Uint32Array | undefined
    if (batch.offsets !== undefined) {
      offsets = new Uint32Array(count + 1)
      end = at
      let n = 0
      for (let r = 0; r < batch.count; r++) {
        if ((counts[span + r] === 1) === failing) continue
        offsets[n++] = end
        end += batch.offsets[r + 1] - batch.offsets[r]
      }
      offsets[n] = end
    }
    const {template, message, templates, elements} = batch
    list.push({template, octets, view, start: at, count, offsets, message, templates, elements})
    return {octets, view, at: end}
  }

  const sift: Sift | undefined =
    kernel === undefined || strict || wantFailed
      ? undefined
      : {
          kernel,
          plan(template) {
            const plan = planOf(template)
            if (plan.kind === 'all') return PASS
            if (plan.kind === 'none') return FAIL
            return plan.kind === 'program' ? plan.id : undefined
          },
          sifted(octets, tested, matched) {
            if (matched > 0) sifted.add(octets)
            options.sifted?.(tested, matched)
          },
        }
  return {run, sift, close: () => kernel?.close()}
}

/** Octets that a kernel has filled, and how far they are given away. */
interface Copy {
  readonly octets: Uint8Array
  readonly view: DataView
  readonly at: number
}

/** Passes over the copy of a whole batch, which goes along where it lies. */
function behind(copy: Copy, batch: RecordBatch): Copy {
  const octets = recordEnd(batch, batch.count - 1) - recordStart(batch, 0)
  return {...copy, at: copy.at + octets}
}
