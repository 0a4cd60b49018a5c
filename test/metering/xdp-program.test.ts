import test from 'ava'
import {createEbpfAssembler} from '../../src/metering/ebpf.js'
import {xdpProgram} from '../../src/metering/xdp-program.js'

const ret = {code: 0x06, jt: 0, jf: 0, k: 1}

test('a filter whose jumps go back or past its end is refused, not bent into another', (t) => {
  // What protochain compiles to; its distance is −2.
  const back = {code: 0x05, jt: 0, jf: 0, k: 0xfffffffe}
  const past = {code: 0x15, jt: 0, jf: 3, k: 6}
  for (const jump of [back, past]) {
    const refused = {code: 'DARTA_USAGE', message: /jumps/}
    t.throws(() => xdpProgram([ret, jump, ret], 'direct'), refused)
    t.throws(() => createEbpfAssembler().classic([ret, jump, ret], 'accept', 'reject'), refused)
  }
})

test('a jump that is too long for its 16 bits is refused', (t) => {
  const b = createEbpfAssembler()
  b.jump('end')
  for (let i = 0; i < 0x7fff; i++) b.alu('mov', 0, 0)
  b.label('end')
  t.notThrows(() => b.assemble())
  const c = createEbpfAssembler()
  c.jump('end')
  for (let i = 0; i <= 0x7fff; i++) c.alu('mov', 0, 0)
  c.label('end')
  t.throws(() => c.assemble(), {message: /too long/})
})
