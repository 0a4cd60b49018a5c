import test, {type ExecutionContext} from 'ava'
import {spawnSync} from 'node:child_process'
import {createInterface} from 'node:readline'
import {chmodSync, writeFileSync} from 'node:fs'
import {join} from 'node:path'
import {udpCollector} from '../support/collector.js'
import {bin, darta, folder, start, type Running} from '../support/darta.js'
import {needing, optionalPackage, superuser, tools} from '../support/needing.js'
import {
  PASSPHRASES,
  secretFile,
  servedValues,
  snmpd,
  startSnmpd,
  type Served,
} from '../support/snmpd.js'

const withAgent = needing(...snmpd)
const IF_ENTRY = '1.3.6.1.2.1.2.2.1'

/** What darta collect gives, line by line as it comes. */
function lines(
  t: ExecutionContext,
  ...endpoints: string[]
): {running: Running; next: (holds: (record: Line) => boolean) => Promise<Line>} {
  const running = start(t, bin, ['collect', ...endpoints, '-o', 'ndjson', '-l'])
  const come = createInterface({input: running.child.stdout})[Symbol.asyncIterator]()
  return {
    running,
    async next(holds) {
      for (;;) {
        const {value, done} = await come.next()
        if (done === true) throw new Error(`no such record; it said: ${running.words()}`)
        const record = JSON.parse(value) as Line
        if (holds(record)) return record
      }
    },
  }
}

type Line = Record<string, unknown>

async function stopped(running: Running): Promise<string> {
  running.child.kill('SIGTERM')
  const {code, stderr} = await running.ended
  if (code !== 0) throw new Error(stderr)
  return stderr
}

/** Asked is answered and lost. */
function balances(t: ExecutionContext, words: string): void {
  const line = /snmp-requests: (\d+) messages in, (\d+) out(?:, skipped (\d+))?(?:.*?lost (\d+))?/
  const [, asked, answered, skipped = '0', lost = '0'] = line.exec(words)!
  t.is(Number(asked), Number(answered) + Number(skipped) + Number(lost), words)
}

const {authentication, privacy} = PASSPHRASES
for (const [what, user, warned] of [
  ['SNMPv2c', '', false],
  ['SNMPv3, authenticated and encrypted', '&user=alice', false],
  ['SNMPv3 with DES, of which is warned', '&user=dora', true],
] as const) {
  withAgent(`interfaces that snmpd tells of by ${what} are records with their names`, async (t) => {
    const agent = await startSnmpd(t, [
      `createUser dora SHA "${authentication}" DES "${privacy}"`,
      'rouser dora priv',
    ])
    const secrets = secretFile(t, `user dora SHA ${authentication} DES ${privacy}`)
    const url = `snmp://127.0.0.1:${agent.port}?secret-file=${secrets}${user}&polls=2&interval=1100ms`
    const {code, stdout, stderr} = await darta(t, ['collect', url, '-o', 'json'])
    t.is(code, 0, stderr)
    t.is(/by DES \(dora\)/.test(stderr), warned)
    balances(t, stderr)
    const records = JSON.parse(stdout.toString()) as Line[]
    const flows = records.filter((record) => 'ingressInterface' in record)
    t.true(flows.every((record) => typeof record.interfaceName === 'string'))
    const [first, second] = flows.filter((record) => record.interfaceName === 'lo')
    t.is(first.dartaCounterContinuity, 'first')
    t.false('dartaInterfaceInOctetDeltaCount' in first)
    t.is(second.dartaCounterContinuity, 'continued')
    t.true((second.dartaReadingIntervalMilliseconds as number) > 0)
    const total = (record: Line): number => {
      const {objects} = record._ipfix as {objects: Record<string, string[]>}
      const counters = objects.mibObjectValueCounter
      // ifHCInOctets takes the place of ifInOctets.
      t.false(counters.includes(`${IF_ENTRY}.10[1]`))
      const place = counters.indexOf('1.3.6.1.2.1.31.1.1.1.6[1]')
      return (record.mibObjectValueCounter as number[])[place]
    }
    t.true(total(first) > 0)
    t.is(second.dartaInterfaceInOctetDeltaCount, total(second) - total(first))
    t.is(second.dartaInterfaceInErrorDeltaCount, 0)
  })
}

withAgent('each row of a table is a record, with the index in front of its columns', async (t) => {
  const served = servedValues(t)
  const base = '1.3.6.1.4.1.32473.7'
  served.set([
    [`${base}.1.2.5.1`, 'integer', -7],
    [`${base}.1.2.5.2`, 'integer', 8],
    [`${base}.1.3.5.1`, 'counter64', '18446744073709551615'],
    [`${base}.1.3.5.2`, 'counter', 4294967295],
    [`${base}.1.4.5.1`, 'ipaddress', '192.0.2.1'],
    [`${base}.1.5.5.1`, 'objectid', '.1.3.6.1.4.1.32473.300'],
    [`${base}.1.6.5.1`, 'gauge', 4294967295],
    [`${base}.1.7.5.1`, 'timeticks', 77],
    [`${base}.1.8.5.1`, 'string', 'text'],
  ])
  const agent = await startSnmpd(t, [`pass_persist .${base} ${served.program}`])
  const url = `snmp://127.0.0.1:${agent.port}?secret-file=${secretFile(t)}&polls=1`
  const more = '&object=1.3.6.1.2.1.1.5&object=1.3.6.1.2.1.1.6'
  const {stdout, stderr} = await darta(t, ['collect', `${url}&table=${base}${more}`, '-o', 'json'])
  balances(t, stderr)
  const records = JSON.parse(stdout.toString()) as Line[]
  t.is(records.length, 3)
  t.like(records[0], {
    mibSubIdentifier: [5, 1],
    mibObjectValueInteger: -7,
    mibObjectValueCounter: 18446744073709551615,
    mibObjectValueIPAddress: '192.0.2.1',
    mibObjectValueOID: '060a2b0601040181fd59822c',
    mibObjectValueGauge: 4294967295,
    mibObjectValueTimeTicks: 77,
    mibObjectValueOctetString: Buffer.from('text').toString('hex'),
  })
  t.like(records[1], {
    mibSubIdentifier: [5, 2],
    mibObjectValueInteger: 8,
    mibObjectValueCounter: 4294967295,
  })
  // Single objects share a record.
  t.is((records[2].mibObjectValueOctetString as string[]).length, 2)
})

/** An interface of the test's own, with counters of 32 bits alone. */
function anInterface(inOctets: number, speed = 10_000_000): Served {
  return [
    [`${IF_ENTRY}.1.7`, 'integer', 7],
    [`${IF_ENTRY}.2.7`, 'string', 'port 7'],
    [`${IF_ENTRY}.5.7`, 'gauge', speed],
    [`${IF_ENTRY}.10.7`, 'counter', inOctets],
    [`${IF_ENTRY}.16.7`, 'counter', 100],
  ]
}

withAgent(
  'a counter of 32 bits that wraps goes on, and one that is set back is said to be',
  async (t) => {
    const served = servedValues(t)
    served.set(anInterface(4_294_967_290))
    const agent = await startSnmpd(
      t,
      [`pass_persist .1.3.6.1.2.1.2.2 ${served.program}`],
      ...['-I', '-ifTable', '-I', '-ifXTable'],
    )
    const where = `snmp://127.0.0.1:${agent.port}?secret-file=${secretFile(t)}&interval=200ms`
    const {running, next} = lines(t, where)
    const of = (continuity: string) => (record: Line) =>
      record.dartaCounterContinuity === continuity
    t.like(await next(of('first')), {ingressInterface: 7, interfaceName: 'port 7'})
    t.like(await next(of('continued')), {dartaInterfaceInOctetDeltaCount: 0})
    served.set(anInterface(10))
    t.like(await next(of('wrapped')), {
      dartaInterfaceInOctetDeltaCount: 16,
      dartaInterfaceOutOctetDeltaCount: 0,
    })
    await next(of('continued'))
    // More than 10 Mbit/s would have carried.
    served.set(anInterface(2_000_000_000))
    await next((record) => record.dartaInterfaceInOctetDeltaCount === 2_000_000_000 - 10)
    // 10 Mbit/s do not carry what would have to have passed.
    served.set(anInterface(1_000))
    const back = await next(of('discontinuous'))
    t.false('dartaInterfaceInOctetDeltaCount' in back)
    t.like(await next(of('continued')), {dartaInterfaceInOctetDeltaCount: 0})
    balances(t, await stopped(running))
  },
)

for (const [what, user, other] of [
  ['by SNMPv2c', '', false],
  ['by SNMPv3', '&user=alice', false],
  ['by SNMPv3, as another engine', '&user=alice', true],
] as const) {
  withAgent(
    `an agent that is restarted is asked on, ${what}, and its counters begin anew`,
    async (t) => {
      const agent = await startSnmpd(t)
      const where = `snmp://127.0.0.1:${agent.port}?secret-file=${secretFile(t)}${user}`
      const {running, next} = lines(t, `${where}&interval=300ms&timeout=300ms&retries=0`)
      const lo = (continuity: string) => (record: Line) =>
        record.interfaceName === 'lo' && record.dartaCounterContinuity === continuity
      // Long enough that what comes back cannot be older.
      const old = await next(
        (record) =>
          lo('continued')(record) && (record.mibObjectValueTimeTicks as number[])[0] > 300,
      )
      await agent.stop()
      await agent.start(other ? folder(t) : undefined)
      const anew = await next(lo('restarted'))
      t.false('dartaInterfaceInOctetDeltaCount' in anew)
      const ticks = (record: Line): number => (record.mibObjectValueTimeTicks as number[])[0]
      t.true(ticks(anew) < ticks(old))
      t.true('dartaInterfaceInOctetDeltaCount' in (await next(lo('continued'))))
      balances(t, await stopped(running))
    },
  )
}

withAgent(
  'an answer of an engine that was started less often than is known is refused, counted, and the engine met again',
  async (t) => {
    // The same engine with a memory of its starts that is lost: what it says is authentic, but may be old.
    const engine = '0x80007ed90400112233'
    const config = [`exactEngineID ${engine}`, 'engineBoots 7', `oldEngineID ${engine}`]
    const agent = await startSnmpd(t, config)
    const where = `snmp://127.0.0.1:${agent.port}?secret-file=${secretFile(t)}&user=alice`
    // A request that nobody answers is sent again: giving up would forget the engine.
    const {running, next} = lines(t, `${where}&interval=300ms&timeout=300ms&retries=400`)
    await next((record) => record.dartaCounterContinuity === 'continued')
    await agent.stop()
    config[1] = 'engineBoots 2'
    await agent.start()
    await next((record) => record.dartaCounterContinuity === 'restarted')
    t.regex(await stopped(running), /not-in-time-window [1-9]/)
  },
)

withAgent(
  'an agent that does not answer holds up no other, and what was asked of it is accounted for',
  async (t) => {
    const agent = await startSnmpd(t)
    const nobody = await udpCollector(t)
    const secret = `secret-file=${secretFile(t)}&interval=200ms&timeout=400ms&retries=1`
    const {running, next} = lines(
      t,
      `snmp://127.0.0.1:${nobody.port}?${secret}`,
      `snmp://127.0.0.1:${agent.port}?${secret}`,
    )
    for (let i = 0; i < 6; i++) await next((record) => record.interfaceName === 'lo')
    await running.says(new RegExp(`snmp://127.0.0.1:${nobody.port} does not answer`))
    const words = await stopped(running)
    balances(t, words)
    t.regex(words, /snmp-requests: .*lost \d+ \(timeout \d+\)/)
    // It was asked twice each time, and once more until it was stopped.
    t.true(nobody.datagrams.length >= 2)
  },
)

withAgent('a wrong community and a wrong passphrase are told, and lose nothing else', async (t) => {
  const agent = await startSnmpd(t)
  const file = join(folder(t), 'wrong')
  writeFileSync(file, 'community wrong\nuser alice sha256 not-the-one\n', {mode: 0o600})
  const at = `snmp://127.0.0.1:${agent.port}?timeout=30s&retries=0&polls=1`
  const right = `${at}&secret-file=${secretFile(t)}`
  const {stderr, code} = await darta(t, [
    'collect',
    right,
    `${at}&secret-file=${file}&timeout=300ms`,
    `${at}&secret-file=${file}&user=alice`,
  ])
  t.is(code, 0)
  balances(t, stderr)
  t.regex(stderr, /does not answer/)
  t.regex(stderr, /does not accept the user/)
  t.regex(stderr, /lost \d \((timeout 1, authentication \d|authentication \d, timeout 1)\)/)
  t.regex(stderr, /snmp: [1-9]\d* records in/)
})

needing(...snmpd, tools('tshark'))(
  'tshark finds in the Messages of a poll what each value is of, and in which interface',
  async (t) => {
    const served = servedValues(t)
    served.set(anInterface(4_294_967_290))
    const agent = await startSnmpd(
      t,
      [`pass_persist .1.3.6.1.2.1.2.2 ${served.program}`],
      ...['-I', '-ifTable', '-I', '-ifXTable'],
    )
    const out = join(folder(t), 'out.ipfix')
    const url = `snmp://127.0.0.1:${agent.port}?secret-file=${secretFile(t)}&polls=1`
    await darta(t, ['collect', url, '-w', out])
    const {stdout} = spawnSync('tshark', ['-r', out, '-O', 'cflow'], {encoding: 'utf8'})
    const objects = [...stdout.matchAll(/mibObject Identifier: ([0-9a-f]+)/g)].map(([, oid]) => oid)
    t.deepEqual(objects, [
      '06072b060102010103', // sysUpTime
      '06092b0601020102020105', // ifSpeed
      '06092b060102010202010a', // ifInOctets
      '06092b0601020102020110', // ifOutOctets
    ])
    const indices = [...stdout.matchAll(/mib Index Indicator: (0x[0-9a-f]+)/g)].map(([, bits]) =>
      Number(bits),
    )
    // The interface's index is the second field.
    t.deepEqual(indices, [0, 2, 2, 2])
    t.regex(stdout, /InputInt: 7/)
    t.regex(stdout, /mibObject Value Counter: 4294967290/)
    t.notRegex(stdout, /Malformed|Expert Info \(Error/)
  },
)

withAgent('darta enrich names interfaces of an Exporter as its SNMP agent does', async (t) => {
  const agent = await startSnmpd(t)
  const names = join(folder(t), 'names.ipfix')
  const url = `snmp://127.0.0.1:${agent.port}?secret-file=${secretFile(t)}&polls=1`
  await darta(t, ['collect', '--no-losses', url, '-w', names])
  const flows = join(folder(t), 'flows.ndjson')
  const flow = (exporter: string): string =>
    `${JSON.stringify({
      sourceIPv4Address: '192.0.2.1',
      ingressInterface: 1,
      originalExporterIPv4Address: exporter,
      originalObservationDomainId: 5,
    })}\n`
  writeFileSync(flows, flow('127.0.0.1') + flow('127.0.0.9'))
  const {stdout} = await darta(t, [
    ...['enrich', '--interfaces', '-r', names, '-r', flows, '-o', 'json'],
  ])
  const found = (JSON.parse(stdout.toString()) as Line[]).filter(
    (one) => 'sourceIPv4Address' in one,
  )
  t.deepEqual(
    found.map((one) => one.dartaIngressInterfaceName),
    ['lo', ''],
  )
})

needing(
  superuser(),
  tools('unshare'),
  optionalPackage('net-snmp'),
)('a host that nobody knows and one that there is no way to are lost, and told', async (t) => {
  const secret = `secret-file=${secretFile(t)}&polls=2&interval=100ms`
  // In a namespace without a network nobody can be asked for a name.
  const hosts = ['nobody.invalid', '192.0.2.1'].map((host) => `snmp://${host}?${secret}`)
  const {ended} = start(t, 'unshare', ['-n', bin, 'collect', ...hosts, '-o', 'null'])
  const {code, stderr} = await ended
  t.is(code, 0, stderr)
  t.regex(stderr, /snmp:\/\/nobody\.invalid:161 is no host that is known/)
  t.regex(stderr, /snmp:\/\/192\.0\.2\.1:161 cannot be reached/)
  t.regex(stderr, /snmp-requests: 4 messages in, 0 out, lost 4 \(no-such-host 2, unreachable 2\)/)
})

test('endpoints of SNMP that are wrong are refused, and no secret is repeated', async (t) => {
  const refused = async (url: string, env: NodeJS.ProcessEnv = {}): Promise<string> => {
    const {code, stderr} = await darta(t, ['collect', url], '', {env: {...process.env, ...env}})
    t.is(code, 2, stderr)
    return stderr
  }
  t.regex(await refused('snmp://192.0.2.1'), /secret-file=FILE, or set DARTA_SNMP_COMMUNITY/)
  t.notRegex(await refused('snmp://192.0.2.1?community=hushhush'), /hushhush/)
  t.regex(await refused('snmp://192.0.2.1?table=ifTable', {DARTA_SNMP_COMMUNITY: 'x'}), /no object/)
  t.regex(await refused('snmp://*'), /names no host/)
  const file = join(folder(t), 'secrets')
  writeFileSync(file, 'community a\nuser bob sha256 hushhush whatelse\n', {mode: 0o600})
  const words = await refused(`snmp://192.0.2.1?secret-file=${file}`)
  t.regex(words, /line 2/)
  t.notRegex(words, /hushhush|whatelse/)
  chmodSync(file, 0o604)
  t.regex(
    await refused(`snmp://192.0.2.1?secret-file=${file}`),
    /can be read by others \(mode 604\)/,
  )
})
