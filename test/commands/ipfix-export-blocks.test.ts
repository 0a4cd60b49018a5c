import test from 'ava'
import {createBlockLoan} from '../../src/commands/ipfix-export/block-loan.js'

test('a block is used again when nothing of the log before its end is read any more, not earlier', (t) => {
  const loan = createBlockLoan()
  const [first, second] = [loan.newBlock(1000), loan.newBlock(1000)]
  loan.leave(first)
  const firstLent = loan.left()
  loan.leave(second)
  firstLent(900)
  loan.left()(1900)
  loan.giveBack(899)
  t.not(loan.newBlock(1000), first)
  loan.giveBack(900)
  t.is(loan.newBlock(1000), first)
  t.not(loan.newBlock(1000), second)
  loan.giveBack(2000)
  t.is(loan.newBlock(1000), second)
})

test('a block of another size is not given for one, and not all are kept', (t) => {
  const loan = createBlockLoan()
  const block = loan.newBlock(1000)
  loan.leave(block)
  loan.left()(1)
  loan.giveBack(1)
  t.not(loan.newBlock(500), block)
  const many = Array.from({length: 70}, () => loan.newBlock(1 << 20))
  for (const one of many) loan.leave(one)
  loan.left()(2)
  loan.giveBack(2)
  const again = new Set(Array.from({length: 70}, () => loan.newBlock(1 << 20)))
  const kept = many.filter((one) => again.has(one)).length
  t.true(kept > 50 && kept < 70, `${kept} kept`)
})
