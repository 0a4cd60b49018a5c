import type {InterfaceCounters} from '../../metering/interface-counters.js'
import type {KernelCounters} from '../../metering/live.js'
import type {MeterCounters} from '../../metering/meter.js'
import {VARIABLE} from '../../record/element.js'
import {createTemplate, type Template} from '../../record/template.js'
import type {Value} from '../../record/value.js'
import {ie} from '../../registry/lookup.js'
import type {SelectorReport} from './selection.js'

/** Options Records of one Template. */
export type OptionsRows = readonly [Template, Value[][]]

/** What kernel and interfaces have counted for a live capture. */
export interface LiveReport {
  readonly kernel: readonly KernelCounters[]
  readonly interfaces: readonly InterfaceCounters[]
}

/** Template IDs; 256 to 262 are those of exporting-process.ts. */
const EXPORT_RELIABILITY_ID = 263
const KERNEL_ID = 264
const KERNEL_BLIND_ID = 265
const INTERFACE_ID = 266
const SEQUENCE_ID = 267
const SELECTOR_ID = 268
const TURN_SELECTOR_ID = 269
const HASH_SELECTOR_ID = 270
const SELECTION_STATISTICS_ID = 271

/** There is one of each. */
const EXPORTING_PROCESS = 1
const OBSERVATION_POINT = 1
/** What Packet Reports name. */
const SELECTION_SEQUENCE = 1

/** RFC 7011 section 4.3. Which packets are in Flow Records that were not sent is not known. */
const exportReliabilityTemplate = createTemplate(
  EXPORT_RELIABILITY_ID,
  [
    {element: ie.exportingProcessId, length: 4},
    {element: ie.notSentFlowTotalCount, length: 8},
  ],
  1,
)

const kernelFields = [
  {element: ie.interfaceName, length: VARIABLE},
  {element: ie.dartaKernelPacketTotalCount, length: 8},
  {element: ie.dartaRingFreezeTotalCount, length: 8},
  {element: ie.dartaInterfaceDownTotalCount, length: 8},
]
const kernelTemplate = createTemplate(
  KERNEL_ID,
  [...kernelFields, {element: ie.dartaKernelDroppedPacketTotalCount, length: 8}],
  1,
)
/** Where the backend cannot tell what was dropped, nothing is said of it. */
const kernelBlindTemplate = createTemplate(KERNEL_BLIND_ID, kernelFields, 1)

const interfaceTemplate = createTemplate(
  INTERFACE_ID,
  [
    {element: ie.interfaceName, length: VARIABLE},
    {element: ie.dartaInterfacePacketTotalCount, length: 8},
    {element: ie.dartaInterfaceMissedPacketTotalCount, length: 8},
    {element: ie.dartaInterfaceDroppedPacketTotalCount, length: 8},
    {element: ie.dartaInterfaceErrorPacketTotalCount, length: 8},
  ],
  1,
)

/** What a live capture reports beside the statistics of every Metering Process. `notSent`: records made and not sent. */
export function liveRows({kernel, interfaces}: LiveReport, notSent: number): OptionsRows[] {
  const kernelRow = (one: KernelCounters): Value[] => [
    one.interface,
    one.packets,
    one.freezes,
    one.downs,
    ...(one.drops === undefined ? [] : [one.drops]),
  ]
  const seeing = kernel.filter(({drops}) => drops !== undefined)
  const blind = kernel.filter(({drops}) => drops === undefined)
  const rows: OptionsRows[] = [
    [exportReliabilityTemplate, [[EXPORTING_PROCESS, notSent]]],
    [kernelTemplate, seeing.map(kernelRow)],
    [kernelBlindTemplate, blind.map(kernelRow)],
    [
      interfaceTemplate,
      interfaces.map((one) => [one.interface, one.packets, one.missed, one.dropped, one.errors]),
    ],
  ]
  return rows.filter(([, list]) => list.length > 0)
}

/** Selection Sequence Report Interpretation, RFC 5476 section 6.5.1: the Observation Point, then the Selectors in order. */
function sequenceTemplate(selectors: readonly SelectorReport[]): Template {
  return createTemplate(
    SEQUENCE_ID,
    [
      {element: ie.selectionSequenceId, length: 8},
      {element: ie.observationPointId, length: 8},
      ...selectors.map(() => ({element: ie.selectorId, length: 8})),
    ],
    1,
  )
}

/** Selector Report Interpretations, RFC 5476 section 6.5.2. */
const selectorFields = [
  {element: ie.selectorId, length: 8},
  {element: ie.selectorAlgorithm, length: 2},
  {element: ie.selectorName, length: VARIABLE},
]
const selectorTemplate = createTemplate(SELECTOR_ID, selectorFields, 1)
const turnSelectorTemplate = createTemplate(
  TURN_SELECTOR_ID,
  [
    ...selectorFields,
    {element: ie.samplingPacketInterval, length: 4},
    {element: ie.samplingPacketSpace, length: 4},
  ],
  1,
)
const hashSelectorTemplate = createTemplate(
  HASH_SELECTOR_ID,
  [
    ...selectorFields,
    {element: ie.hashOutputRangeMin, length: 8},
    {element: ie.hashOutputRangeMax, length: 8},
    {element: ie.hashSelectedRangeMin, length: 8},
    {element: ie.hashSelectedRangeMax, length: 8},
    {element: ie.hashInitialiserValue, length: 8},
  ],
  1,
)

/** How packets were selected: comes before the first Packet Report. Selectors are numbered from 1. */
export function selectionRows(selectors: readonly SelectorReport[]): OptionsRows[] {
  const ids = selectors.map((_, i) => i + 1)
  const rows: OptionsRows[] = [
    [sequenceTemplate(selectors), [[SELECTION_SEQUENCE, OBSERVATION_POINT, ...ids]]],
  ]
  const byTemplate = new Map<Template, Value[][]>()
  selectors.forEach(({name, algorithm, turn, hash}, i) => {
    const values: Value[] = [i + 1, algorithm, name]
    let template = selectorTemplate
    if (turn !== undefined) {
      template = turnSelectorTemplate
      values.push(turn.interval, turn.space)
    } else if (hash !== undefined) {
      template = hashSelectorTemplate
      values.push(0, hash.max, hash.selectedMin, hash.selectedMax, hash.seed)
    }
    byTemplate.set(template, [...(byTemplate.get(template) ?? []), values])
  })
  return [...rows, ...byTemplate]
}

/**
 * Selection Sequence Statistics Report Interpretation, RFC 5476 section 6.5.3: what each Selector observed and selected,
 * in their order. The kernel tells only what passed its last Selector, so that the counts of those before are absent.
 */
export function selectionStatisticsRows(
  selectors: readonly SelectorReport[],
  counters: MeterCounters,
  kernel: readonly KernelCounters[] | undefined,
): OptionsRows {
  const lost = [...counters.lost.values()].reduce((a, b) => a + b, 0)
  const inKernel = selectors.length > 1 && kernel !== undefined
  const fields = [
    {element: ie.selectionSequenceId, length: 8},
    ...(inKernel ? [{element: ie.selectorIdTotalPktsSelected, length: 8}] : []),
    {element: ie.selectorIdTotalPktsObserved, length: 8},
    {element: ie.selectorIdTotalPktsSelected, length: 8},
  ]
  const passed = (kernel ?? []).reduce((sum, one) => sum + one.packets, 0)
  return [
    createTemplate(SELECTION_STATISTICS_ID, fields, 1),
    [
      [
        SELECTION_SEQUENCE,
        ...(inKernel ? [passed] : []),
        counters.frames - lost,
        counters.ipPackets,
      ],
    ],
  ]
}
