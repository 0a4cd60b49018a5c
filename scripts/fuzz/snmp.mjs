// Notifications of SNMP as Debian's snmptrap sent them, of which some octets are changed.
import {join} from 'node:path'
import {fileURLToPath} from 'node:url'
import {mutateOctets} from './random.mjs'

const root = fileURLToPath(new URL('../..', import.meta.url))
const built = (path) => import(join(root, 'build/src', path))

const datagrams = [
  // SNMPv2c trap
  '3081d202010104067075626c6963a781c40204448202ab0201000201003081b5300f06082b0601020101030043033df3ba3017060a2b06010603010104010006092b0601060301010503300f060a2b060102010202010103020103301106092b0601040181fd5901040474657874301006092b0601040181fd590206032b0601301106092b0601040181fd59034004c0000201300e06092b0601040181fd590441014d300e06092b0601040181fd5905420107300e06092b0601040181fd5906430107301006092b0601040181fd59070403010203',
  // SNMPv3 trap, authenticated and encrypted
  '308201390201033011020478ccfc3d020300ffe3040103020103043f303d0408800000000102030402010102033df3bd0405616c6963650418558df7a09552886e2d70aaf3d2262e242fe4997e18b889f30408afbf55efa8fb93bb0481df73c431ee65d4548277ab93bc68560aec8029f9273970054a535558e51fbcbc8c1c457899de7a728cc6c8ace0dc48073b6bd94a137050bcd2cde4eb969fbc6f0b7d2fd1b43da843a17c9347754576ce8799821389e89fddc9ec6e61425b3b4b29b47d022a833fe7e0634a070b3160973c071a9434eebfec4a7f1e2134a83e1dd5883c4a00563928a95a19b83865aa38769a19f8dc9edc0cc88f902160aa2bfc9c7d809f771072cfc957a8c34d286cc19194770f0d0c523361e4452e06e9668acd765a8d701fcbf6d46f767b653e1b34f4e935ede87cdf12f102ea44e4e11524',
  // SNMPv3 trap, neither
  '308201140201033011020418a774e6020300ffe3040100020103041d301b0408800000000102030402010102033df3be0403626f62040004003081dc041180001f88805c1f1e61baa4076b000000000400a781c4020402f35b920201000201003081b5300f06082b0601020101030043033df3be3017060a2b06010603010104010006092b0601060301010503300f060a2b060102010202010103020103301106092b0601040181fd5901040474657874301006092b0601040181fd590206032b0601301106092b0601040181fd59034004c0000201300e06092b0601040181fd590441014d300e06092b0601040181fd5905420107300e06092b0601040181fd5906430107301006092b0601040181fd59070403010203',
  // SNMPv1 trap
  '3081b602010004067075626c6963a481a806082b0601040181fd594004c00002070201060201114302106830818b300f060a2b060102010202010103020103301106092b0601040181fd5901040474657874301006092b0601040181fd590206032b0601301106092b0601040181fd59034004c0000201300e06092b0601040181fd590441014d300e06092b0601040181fd5905420107300e06092b0601040181fd5906430107301006092b0601040181fd59070403010203',
  // SNMPv2c inform
  '3081d202010104067075626c6963a681c40204499b38030201000201003081b5300f06082b0601020101030043033df3c43017060a2b06010603010104010006092b0601060301010503300f060a2b060102010202010103020103301106092b0601040181fd5901040474657874301006092b0601040181fd590206032b0601301106092b0601040181fd59034004c0000201300e06092b0601040181fd590441014d300e06092b0601040181fd5905420107300e06092b0601040181fd5906430107301006092b0601040181fd59070403010203',
  // SNMPv3 discovery
  '304f0201033011020403dba24e020300ffe30401040201030410300e04000201000201000400040004003025041180001f88805c1f1e61baa4076b000000000400a00e0204141bc3770201000201003000',
]

const users = [
  {
    name: 'alice',
    authentication: {protocol: 'sha256', passphrase: 'authpass12'},
    privacy: {protocol: 'aes', passphrase: 'privpass12'},
  },
  {name: 'bob'},
]
const sender = {address: '127.0.0.1', port: 1, family: 'IPv4', size: 0}
const message = {exportTime: 0, sequenceNumber: 0, observationDomainId: 0, offset: 0}

export async function snmp() {
  const {loadSnmpPackage} = await built('commands/collect/snmp/package.js')
  const {createNotificationReader} = await built('commands/collect/snmp/notification-reader.js')
  const {notificationFields} = await built('mediation/snmp/notification.js')
  const {createFieldRecords} = await built('record/field-records.js')
  const {DartaError} = await built('record/errors.js')
  const {createEncoder} = await built('ipfix/encoder.js')
  const {Ledger} = await built('record/ledger.js')
  const reader = createNotificationReader(loadSnmpPackage(), {communities: ['public'], users})
  return {
    seeds: datagrams.map((digits) => new Uint8Array(Buffer.from(digits, 'hex'))),
    mutate(random, seed, others) {
      let octets = seed
      for (let n = random.below(3); n >= 0; n--) octets = mutateOctets(random, octets, others)
      return octets
    },
    // The key of a new engine takes milliseconds.
    units: () => 64,
    run(_, octets) {
      const read = reader.read(Buffer.from(octets), sender)
      if ('fault' in read) return
      const records = createFieldRecords()
      try {
        records.add(notificationFields(read.notification, 0))
      } catch (error) {
        // A value that its element cannot hold is lost with what it stands in.
        if (!(error instanceof DartaError)) throw error
        return
      }
      const encoder = createEncoder({ledger: new Ledger()})
      encoder.push(records.take(message))
      encoder.end()
    },
  }
}
