/* A collector whose system's clock is set, by an hour or by ten years, forward and back, while it works. */
import {createSocket} from 'node:dgram'
import {globSync, readdirSync, readFileSync, renameSync, writeFileSync} from 'node:fs'
import {join} from 'node:path'
import {decoded} from '../support/collector.js'
import {bin, folder, start} from '../support/darta.js'
import {needing} from '../support/needing.js'
import {numberedRecords} from '../support/numbered.js'

const [library] = globSync('/usr/lib/*/faketime/libfaketimeMT.so.1')
const HOUR = 3600
const YEARS = 10 * 365 * 86_400

/** Clock ticks, 10 ms each, that a process has used. */
function ticksOf(pid: number): number {
  const words = readFileSync(`/proc/${pid}/stat`, 'utf8').split(') ')[1].split(' ')
  return Number(words[11]) + Number(words[12])
}

needing(library === undefined ? 'not installed: libfaketime' : undefined)(
  'a clock that is set by an hour or ten years, and back, loses no record, ends no file twice and keeps nothing busy',
  async (t) => {
    const place = folder(t)
    const clock = join(place, 'clock')
    const set = (seconds: number): void => {
      writeFileSync(`${clock}.new`, `${seconds < 0 ? '' : '+'}${seconds}\n`)
      renameSync(`${clock}.new`, clock)
    }
    set(0)
    const env = {
      ...process.env,
      LD_PRELOAD: library,
      FAKETIME_TIMESTAMP_FILE: clock,
      FAKETIME_NO_CACHE: '1',
      DONT_FAKE_MONOTONIC: '1',
    }
    const files = join(place, 'files')
    const words = ['udp://127.0.0.1:0', '-w', join(files, '%Y-%m-%d_%H%M%S.ipfix')]
    const began = Date.now()
    const running = start(t, bin, ['collect', ...words, '-G', '1s', '-S', '', '-v'], {env})
    await running.says(/listening on \S+:\d+\n/)
    const port = Number(/listening on \S+:(\d+)\n/.exec(running.words())![1])
    const socket = createSocket('udp4')
    t.teardown(() => socket.close())

    /** How many files it has said that it wrote. */
    const written = (): number => running.words().split('wrote ').length - 1
    const says = async (count: number): Promise<void> => {
      await running.says(new RegExp(`(?:[^]*?wrote ){${count}}`))
    }
    let sent = 0
    for (const seconds of [0, HOUR, 0, -HOUR, 0, YEARS, 0]) {
      set(seconds)
      for (let n = 0; n < 10; n++) {
        const octets = numberedRecords(10, sent)
        sent += 10
        await new Promise((resolve) => socket.send(octets, port, '127.0.0.1', resolve))
      }
      // It turns over by itself, also after the clock was set back.
      await says(written() + 2)
    }
    const [ticks, from] = [ticksOf(running.child.pid!), performance.now()]
    await says(written() + 2)
    const perSecond = (ticksOf(running.child.pid!) - ticks) / ((performance.now() - from) / 1000)
    t.true(perSecond < 20, `${perSecond.toFixed(1)} ticks of 10 ms in a second without records`)
    running.child.kill('SIGTERM')
    const {code, stderr} = await running.ended
    t.is(code, 0, stderr)

    const names = readdirSync(files)
    const told = [...stderr.matchAll(/wrote (\S+)/g)].map(([, name]) => name)
    t.is(new Set(told).size, told.length, 'each is ended once')
    t.is(names.length, told.length)
    const ids: number[] = []
    const offsets = new Map<number, number>()
    for (const name of names) {
      const records = decoded(readFileSync(join(files, name))).records.filter((r) => 'flowId' in r)
      ids.push(...records.map(({flowId}) => Number(flowId)))
      const [date, time] = name.split('.')[0].split('_')
      const at = Date.parse(`${date}T${time.replace(/(..)(..)(..)/, '$1:$2:$3')}Z`)
      const offset = Math.round((at - began) / (HOUR * 1000))
      offsets.set(offset, (offsets.get(offset) ?? 0) + records.length)
    }
    t.deepEqual(
      ids.sort((a, b) => a - b),
      Array.from({length: sent}, (_, n) => n),
    )
    // What came lies in files of the time that the clock showed.
    t.deepEqual(
      [...offsets].filter(([, n]) => n > 0).sort(([a], [b]) => a - b),
      [
        [-1, 100],
        [0, 400],
        [1, 100],
        [YEARS / HOUR, 100],
      ],
    )
  },
)
