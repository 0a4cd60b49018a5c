// Writes docs/CONFORMANCE.md: what the IPFIX documents ask of darta's roles, and which test shows it. Every title that is
// named here has to stand in the test file that is named with it. --check says what is out of date instead of writing.
import {existsSync, readFileSync, writeFileSync} from 'node:fs'
import {fileURLToPath} from 'node:url'

process.chdir(fileURLToPath(new URL('..', import.meta.url)))

/**
 * Number, section, roles (E exporting, C collecting, F files, I intermediate process), statement, and what shows it: test
 * files with titles; or `no` and the reason.
 */
const rows = [
  [
    1,
    '7011 3.1',
    'E',
    'A Message Header is 16 octets of version 10, with the length of the whole Message and the time at which it leaves',
    {
      'ipfix/message': [
        'a header is 16 octets: version 10, length, export time, sequence number, domain',
      ],
      'commands/ipfix-export': ['all records arrive over TCP in one session that breaks no rule'],
    },
  ],
  [
    2,
    '7011 3.1',
    'E',
    'Sequence numbers count the Data Records before, those of options too, by domain and session, modulo 2^32',
    {
      'ipfix/encoder': [
        'sequence numbers count the Data Records before, options too, by domain, from 0 on',
      ],
      'commands/ipfix-export': [
        'each Observation Domain keeps its ID and has sequence numbers of its own',
      ],
      'ipfix/sequence': ['a sequence number passes 2^32 without a gap'],
    },
  ],
  [
    3,
    '7011 3.1, 11.6',
    'C',
    'A gap of k records is k records lost; duplicates, reordering and restarts are told apart',
    {
      'ipfix/sequence': [
        'a gap of k records is k records missing, with its offset',
        'repeated Messages are told from late ones and change no account of loss',
        'an Exporter that starts again is told from loss',
      ],
      'mediation/losses': ['1 % dropped, doubled and late of 100,000 datagrams are told exactly'],
    },
  ],
  [
    4,
    '7011 3.1',
    'C',
    'Sessions and domains are apart: one Template ID means different things in each',
    {
      'ipfix/session': [
        'the same Template ID means something else in another Observation Domain',
        'the same Template ID means something else in another Transport Session',
      ],
    },
  ],
  [
    5,
    '7011 3.2',
    'E C',
    'The enterprise bit is set exactly where an enterprise number follows; numbers of different enterprises are different elements',
    {
      'ipfix/session': [
        'an element with an enterprise number is another than IANA’s of the same ID',
      ],
      'ipfix/message': [
        'Templates and Options Templates are announced in one Message, enterprise numbers where needed',
      ],
    },
  ],
  [
    6,
    '7011 3.3',
    'C',
    'Reserved Set IDs do no harm; a Set whose length cannot be makes its Message malformed',
    {
      'ipfix/session': ['a Set of reserved ID ${id} is skipped by its length and counted'],
      'ipfix/message': ['Sets fill a Message, or the first that does not fit is named'],
    },
  ],
  [
    7,
    '7011 3.3.1',
    'E C',
    'Padding is zeros and shorter than the smallest record; a Set holds one kind of record',
    {
      'ipfix/session': ['padding is accepted in Template, Options Template and Data Sets'],
      'ipfix/round-trip': ['what is encoded breaks no rule that a checker of its own knows'],
    },
  ],
  [
    8,
    '7011 3.4.2',
    'E C',
    'Options have 1 to all of their fields as scope, in their order',
    {
      'ipfix/session': [
        'scope fields of options keep their order',
        'an Options Template with ${what} of scope is refused without harm to others',
      ],
      'ipfix/encoder': ['an Options Template announces its scope, in a Set of its own'],
    },
  ],
  [
    9,
    '7011 4.1',
    'E',
    'Statistics of the metering process are sent as options',
    {
      'commands/exporting-process': [
        'statistics at the end tell of all Messages before, the sequence goes on over options',
      ],
    },
  ],
  [
    10,
    '7011 4.2',
    'E',
    'What the metering process ignored is sent as options, with its times',
    {
      'commands/exporting-process': [
        'what was ignored is told with its times, and not at all if nothing was',
      ],
    },
  ],
  [
    11,
    '7011 4.3, 10.4.1',
    'E',
    'What was not sent to a Collector is counted exactly and told to it as options',
    {
      'commands/ipfix-export': [
        'a peer that takes nothing loses exactly what there is no room for',
      ],
      'commands/ipfix-export-options': [
        'darta collect, stopped for a while, is told which Flow Records, packets and octets it will not get',
        'tshark reads what was not sent since no datagram has room for it, and nothing wrong',
      ],
    },
    'It is told on standard error, by `--metrics` and to the Collector itself, in options.',
  ],
  [
    12,
    '7011 4.4',
    'E',
    'Options name the Flow Key of each Template',
    {
      'commands/exporting-process': [
        'the Flow Key record of ${key} has the bits of the fields that are keys',
      ],
    },
  ],
  [
    13,
    '7011 6.1',
    'E C',
    'Strings are UTF-8: ill-formed ones are flagged and not sent on as they are',
    {
      'ipfix/encoder': [
        'ill-formed strings are not sent: what is no UTF-8 in them becomes question marks, counted',
      ],
    },
  ],
  [
    14,
    '7011 6.1.9',
    'E C',
    'Times in NTP form do not drift; low bits of microseconds are zero when sent and ignored when received',
    {
      'record/record-writer': [
        'microseconds have the low 11 bits of their fraction zero and do not drift over round trips',
        'on receipt the low 11 bits of a microsecond fraction are ignored',
      ],
    },
  ],
  [
    15,
    '7011 6.2',
    'E C',
    'Reduced sizes are read; another type at a wrong length is not misread',
    {
      'record/record-writer': ['${type}: what is written in any length it may have is read again'],
      'ipfix/session': [
        'a field of a length that cannot carry its type is kept as octets and told',
      ],
    },
  ],
  [
    16,
    '7011 7',
    'E C',
    'Variable lengths in one octet and in three, up to what a Message holds',
    {
      'ipfix/variable-length': [
        'a field of ${size} octets with its length in ${form} is read',
        'a field of as many octets as a Message holds is read',
      ],
    },
  ],
  [
    17,
    '7011 8',
    'C',
    'Equal elements in one Template all survive, in order',
    {
      'ipfix/session': ['equal elements in one Template all survive in order'],
    },
  ],
  [
    18,
    '7011 8, 9.3',
    'C',
    'Data before their Template wait for it, within limits, or are counted',
    {
      'ipfix/session': [
        'data before their Template are held and come in order when it does',
        'what is held for Templates is bounded, and what goes over it is counted',
      ],
    },
  ],
  [
    19,
    '7011 8',
    'C',
    'Templates of an old session decode nothing of a new one',
    {
      'ipfix/session': [
        'a session that ends gives all its room back',
        'a Template poisoned in one session decodes nothing of another, over 10,000 trials',
      ],
    },
  ],
  [
    20,
    '7011 8.1',
    'E C',
    'A withdrawal ends decoding; IDs 2 and 3 withdraw all',
    {
      'ipfix/session': [
        'a withdrawal ends decoding, and another Template may take the ID',
        'data after a withdrawal do not wait for another Template that takes the ID',
        'ID 2 withdraws all Templates of its domain, ID 3 all Options Templates',
      ],
    },
    'As Exporter darta never gives an ID another meaning within a session, so it has nothing to withdraw.',
  ],
  [
    21,
    '7011 8.1, 8.4',
    'C',
    'Over UDP withdrawals are ignored and Templates replaced; over a reliable transport another Template under a used ID is a fault',
    {
      'ipfix/session': ['UDP: withdrawals are ignored'],
      'commands/collect': [
        'a Template that a connection redefines without withdrawing it is noted as a fault',
      ],
    },
  ],
  [
    22,
    '7011 8.4',
    'E',
    'Over UDP Templates, and options that hold, are sent again at an interval, Templates before their first use more than once',
    {
      'commands/ipfix-export': [
        'all records arrive over UDP, Templates first and more than once',
        'over UDP Templates come again at their interval',
      ],
      'commands/ipfix-export-options': [
        'over UDP options come again with the Templates, and a Collector that begins late knows them',
      ],
    },
  ],
  [
    23,
    '7011 8.4',
    'C',
    'Over UDP a Template has a lifetime, and belongs to address, port and domain',
    {
      'ipfix/session': [
        'UDP: a Template that is not announced again within its lifetime is forgotten',
      ],
      'mediation/templates': [
        'another source, port or domain that defines the same Template number changes nothing for the first',
      ],
    },
  ],
  [
    24,
    '7011 9',
    'C',
    'Unknown elements keep their number and octets',
    {
      'ipfix/session': ['unknown elements keep their number and octets, and the rest is read'],
    },
  ],
  [
    25,
    '7011 9.1',
    'C',
    'A malformed Message is dropped whole, and the next is read',
    {
      'ipfix/session': [
        'a malformed Message is dropped whole: no record, no Template, no withdrawal of it counts',
      ],
      'ipfix/damage': [
        'mutated streams: nothing is thrown, the balance holds, what is read lies in bounds',
      ],
      'commands/collect': ['what is no IPFIX ends a connection, and others go on'],
    },
  ],
  [
    26,
    '7011 10',
    'C',
    'Messages of up to 65,535 octets; ports 4739 and 4740 unless said otherwise',
    {
      'ipfix/encoder': [
        'no Message has more than ${maxMessageOctets} octets, and none could take one more record',
      ],
      'io/endpoint': ['${text} is ${transport} to port ${port} of ${host}'],
    },
  ],
  [
    27,
    '7011 10.1–10.2',
    'E C',
    'SCTP',
    'no',
    'Node has no SCTP. TCP and TLS are the reliable transports.',
  ],
  [
    28,
    '7011 10.3',
    'E',
    'Over UDP no Message is longer than the path carries, or than 512 octets where that is not known; none is fragmented',
    {
      'commands/ipfix-export': [
        'all records arrive over UDP, Templates first and more than once',
        'a path that carries less makes Messages shorter, and records stay whole',
      ],
    },
  ],
  [
    29,
    '7011 10.4.4',
    'E C',
    'Over TCP a lost connection is tried again, at most once a minute unless said otherwise; the new session begins with Templates and number 0',
    {
      'commands/ipfix-export': [
        'a session that breaks is followed by one that begins anew, and nothing is lost',
        'a destination that is not there loses all, counted, and holds up no other',
      ],
      'commands/collect': [
        'takes IPFIX over TCP and Unix sockets, each connection a session, and stops with all of it written',
      ],
    },
  ],
  [
    30,
    '7011 11.1',
    'E C',
    'TLS 1.2 or later, no cipher without encryption',
    {
      'io/tls-credentials': ['TLS 1.1 is not spoken'],
      'commands/ipfix-export-tls': ['that speaks nothing newer than TLS 1.1'],
    },
    'DTLS, for UDP, is not in Node.',
  ],
  [
    31,
    '7011 11.3',
    'E C',
    'Both sides are authenticated; no record leaves before',
    {
      'commands/ipfix-export-tls': [
        'records reach a peer that both sides have verified',
        'whose certificate bears another name',
        'of an unknown authority',
        'whose certificate has expired',
        'darta collect takes whom it trusts, and both sides log whom it does not',
        'darta collect takes no octet of a peer that ${what}, though it sends at once, and says so',
      ],
      'io/tls-credentials': [
        'a peer under another name is refused, and both names are told',
        'a peer without certificate gets no handshake',
      ],
    },
  ],
  [
    32,
    '7011 11.4–11.6',
    'C',
    'New sessions are limited in number and rate; who is not allowed is counted',
    {
      'mediation/templates': [
        'new Exporters beyond so many a second are lost, and counted; those that are known are not',
      ],
      'commands/collect': ['takes only what is allowed, and another list after SIGHUP'],
    },
  ],
  [
    33,
    '7012 2, 7.3',
    'all',
    'The registry is fixed when darta is built; values outside of a stated range are not sent',
    {
      'registry/iana': [
        'every element has a description of 1 to 12 words, and no two have the same',
      ],
      'record/record-writer': ['values outside the range that the registry states are not written'],
    },
  ],
  [
    34,
    '7013 10',
    'all',
    'Elements and Templates are written as specifiers, name(number)<type>[length]',
    {
      'commands/info': [
        'info --templates writes the fields of Templates as specifiers of RFC 7013',
      ],
    },
    'They are written only: no command takes a Template as text.',
  ],
  [
    35,
    '5103 3–6',
    'E C',
    'Reverse elements only where there is a direction and the element may be reversed',
    {
      'ipfix/session': [
        'records with reverse elements and no direction are dropped and counted',
        'elements that have no reverse are not reversed',
      ],
      'ipfix/encoder': ['records with reverse elements and no direction are not sent'],
    },
  ],
  [
    36,
    '5470, 5472',
    'all',
    'Each command is one of the processes of the architecture; Observation Points and Domains are in what is sent and can be set',
    {
      'commands/ipfix-export': [
        'each Observation Domain keeps its ID and has sequence numbers of its own',
      ],
      'live/reports': [
        'Packet Reports of a file come with their Selectors, and with what these observed and selected',
      ],
    },
    'The manual of each command says which process it is; `--odid` sets the domain.',
  ],
  [
    37,
    '5471',
    'all',
    'Stop and start of each side, overload, and a peer that does not fit',
    {
      'commands/ipfix-export-soak': [
        'a soak with a Collector killed at random, and twice the exporter, loses no record and doubles no more than it says',
      ],
      'commands/ipfix-export': [
        'a peer that takes nothing loses exactly what there is no room for',
      ],
      'mediation/templates': [
        'a hundred thousand Templates of a hostile source stay within their room, and another Exporter loses nothing',
      ],
    },
  ],
  [
    38,
    '5473',
    'E C',
    'Common properties are options with their number as scope, ahead of the records that refer to them, and come again over UDP',
    {
      'commands/pass-through': [
        'common properties go ahead of the records that refer to them, with the number as scope',
      ],
      'commands/ipfix-export-options': [
        'over UDP options come again with the Templates, and a Collector that begins late knows them',
      ],
    },
    'Records and properties stay apart, as they came; nothing is held for a number that is not known, as nothing is joined.',
  ],
  [
    39,
    '5474, 5475',
    'E',
    'At least one scheme of selection, with its parameters',
    {
      'live/reports': [
        'packets in turn are reported as systematic count-based Sampling',
        'Packet Reports of a file come with their Selectors, and with what these observed and selected',
      ],
    },
    'The hash that shares are made by is over Flows and none of those that IANA has numbers for (BOB and others); it is reported as a match of a property.',
  ],
  [
    40,
    '5476 6.4–6.5',
    'E',
    'Each selected packet gives a Packet Report; sequence, selectors and statistics are options, the latter at an interval; the rate of export can be limited',
    {
      'live/reports': [
        'Packet Reports of a file come with their Selectors, and with what these observed and selected',
        'tshark reads Packet Reports with their Selectors',
        'counters of kernel, interface and export come while a live capture of ${emit} runs, and at its end',
      ],
      'commands/ipfix-export': ['--rate holds the sender back'],
    },
  ],
  [
    41,
    '5477',
    'C',
    'Parameters of sampling are read and used to scale',
    {
      'mediation/sampling': [
        'counters are multiplied by the rate of the sampler that the record names, and marked',
        'systematic sampling: so many packets taken, so many left',
      ],
    },
  ],
  [
    42,
    '5610 3',
    'E C',
    'Own elements are described by type records, which hold for their session only and redefine nothing',
    {
      'ipfix/encoder': [
        'type records of our own elements go once, ahead of the first Template with them',
      ],
      'ipfix/type-records': [
        'type records are valid in their own session only',
        'a type record never changes an element that is known',
      ],
    },
  ],
  [
    43,
    '5655 7',
    'F',
    'A stream of any transport is a file; joined files are read',
    {
      'ipfix/encoder': [
        'two outputs one after the other are read, also where their IDs mean different things',
      ],
      'ipfix/sequence': [
        'two outputs one after the other are read: the second sequence is a restart, no loss',
      ],
    },
  ],
  [
    44,
    '5655 7.2–7.3',
    'F',
    'Templates go ahead of data; each part of a file stands by itself',
    {
      'ipfix/encoder': ['a Template goes ahead of its first record, in each domain, and not again'],
      'commands/collect': [
        'makes a file for each period, also where nothing comes, and runs a command for each',
      ],
    },
  ],
  [
    45,
    '5655 8',
    'F',
    'Message digests, at most one in a Message, are written and verified; a file has at most one time window and no Flow outside of it; session details where they are known',
    {
      'commands/collect-file-options': [
        'each Message has one MD5 digest of itself, at the end, over zeros in its place',
        'info --check verifies digests, and finds each octet that was changed',
        'a second digest in a Message is a fault',
        'info --check finds Flows outside of the File Time Window, and a second window',
        '--session-details tells of the session, where all records are of one',
      ],
      'commands/collect': [
        '--time-window says for each file when its first Flow began and its last one ended',
      ],
    },
    'Each record keeps time of receipt, Exporter and domain, which is what message details would say.',
  ],
  [
    46,
    '5655 9–10',
    'F',
    'gzip and bzip2 by their first octets; reading goes on behind damage',
    {
      'io/compression': [
        'any octets survive gzip and zstd, cut anywhere, in any number of members',
      ],
      'ipfix/message-stream': ['goes on behind ${title}, which is told once with its place'],
    },
    'Detached signatures are left to `openssl cms`, which makes and checks them.',
  ],
  [
    47,
    '6183, 7119',
    'I',
    'Template IDs are mapped and never collide; order and fields stay, and so does the domain',
    {
      'ipfix/encoder': [
        'one layout has one ID, whatever ID and session it came with',
        'Template IDs in options follow the Templates they name',
      ],
      'commands/ipfix-export': [
        'each Observation Domain keeps its ID and has sequence numbers of its own',
      ],
    },
  ],
  [
    48,
    '7119 10',
    'I',
    'A Mediator reports the records that it ignored',
    'no',
    'What `collect` missed travels as options of darta’s own, by Exporter and domain; what `filter`, `aggregate` and `anonymize` leave out is told on standard error and by `--metrics`, not as options (element 407).',
  ],
  [
    49,
    '6313',
    'E C',
    'Lists nest, keep their element and semantics, obey limits, and use no withdrawn Template',
    {
      'ipfix/lists': [
        'any list, nested as it may be, is written, encoded, decoded and read as it was',
        'lists are read to a depth of eight and no deeper, however deep they are nested',
        'a withdrawn Template is not used inside lists: their octets are kept',
      ],
    },
  ],
  [50, '6526', 'E C', 'One SCTP stream for each Template', 'no', 'Node has no SCTP.'],
  [
    51,
    '6759',
    'E C',
    'An application’s engine and selector stay as they are, in fixed and variable length; names come from options',
    {
      'commands/pass-through': [
        'an application is kept octet for octet, in fixed and in variable length, with the options that name it',
      ],
    },
    'darta’s meter classifies no applications, so it makes no numbers of its own.',
  ],
  [
    52,
    '7014',
    'I',
    'Flows are selected by at least one scheme, whose parameters are sent',
    'no',
    '`filter` matches properties and `split` hashes Flow Keys; neither says so in options (elements 390 to 400). The input can be kept beside the output with `filter --fail`.',
  ],
  [
    53,
    '7015',
    'I',
    'Totals stay when counters are spread over intervals; counts of original and distinct Flows are right',
    {
      'mediation/aggregation/aggregator': [
        'intervals with ${distribution} distribution lose no octet, packet or Flow',
        'sums, extremes, means and distinct counts are those of an SQL query',
      ],
    },
    'Each record has start and end of its interval; which distribution was used is not told in options.',
  ],
  [
    54,
    '7373 4',
    'all',
    'NDJSON has native numbers and booleans, octets in hex, times in UTC at the precision of their element; what is out of range is refused; from text to IPFIX and back nothing changes',
    {
      'formats/ndjson-values': ['writes ${shown} as ${json} and reads it back'],
      'formats/ndjson-reading': [
        'refuses ${JSON.stringify(line)}, says where, and reads the next line',
      ],
      'formats/ndjson-lossless': [
        'records without lists keep their octets and Templates through NDJSON',
        'NDJSON of records with lists, read and written again, is the same text',
      ],
    },
    'Lists, which the RFC bars from its text, are an extension: man darta-ndjson.',
  ],
  [
    55,
    '9565',
    'E C',
    'The upper four bits of tcpControlBits are sent as 0 and ignored',
    {
      'ipfix/encoder': ['the upper four bits of tcpControlBits are sent as 0 (RFC 9565)'],
      'record/readers': [
        'the upper four bits of tcpControlBits are ignored on receipt, in both sizes and directions',
      ],
    },
  ],
  [
    56,
    '6235',
    'I',
    'Anonymised records come with options that say what was done to which element; methods that need one have a key',
    {
      'mediation/anonymization/anonymizer': [
        'Options Records say what was done to which element, RFC 6235 section 6',
      ],
      'commands/anonymize': [
        'without a key, with half of one or a wrong policy nothing is written',
      ],
    },
  ],
  [
    57,
    '8038 5, 8',
    'E C',
    'Options that describe the fields of SNMP objects stand in the same Message as each Template with such fields, also when it comes again',
    {
      'ipfix/mib-fields': [
        'a Template with values of SNMP objects goes ahead of its options and data, all in one Message, whatever room was left',
        'MIB Field Options come again with each Template that is sent again',
        'the object and the index that MIB Field Options give a field are kept with its Template',
        'tshark reads which object a field has the value of',
      ],
      'commands/ipfix-export-options': [
        'over UDP a Template with values of SNMP objects never goes without the options that describe them',
      ],
      'commands/pass-through': [
        'of SNMP objects the values and the options that describe them are read, each for its Template and field',
      ],
    },
    'A path that carries less than a Template with its options parts them. Rows in lists (mibObjectValueRow) pass as they come; darta makes none.',
  ],
  [
    58,
    '8158',
    'C',
    'NAT events of several Templates from one source are read; historic codes are known',
    {
      'commands/pass-through': [
        'NAT events of several Templates of one source are read, whatever their code',
      ],
    },
    'darta exports no NAT events of its own.',
  ],
]

const faults = []
const sources = new Map()

function source(name) {
  const path = `test/${name}.test.ts`
  if (!sources.has(path)) sources.set(path, existsSync(path) ? readFileSync(path, 'utf8') : '')
  return [path, sources.get(path)]
}

function shown(tests) {
  return Object.entries(tests)
    .flatMap(([name, titles]) => {
      const [path, text] = source(name)
      return titles.map((title) => {
        if (!text.includes(title)) faults.push(`${path} has no test '${title}'`)
        // What the test fills in.
        return `“${title.replace(/\$\{[^}]*\}/g, '…')}” (${path})`
      })
    })
    .join('; ')
}

const lines = [
  '# Conformance',
  '',
  '<!-- Written by scripts/conformance.mjs, which names the tests. Do not edit. -->',
  '',
  'What the IPFIX documents ask of an Exporting Process (E), a Collecting Process (C), files (F) and what stands between (I), and the test that shows darta',
  'doing it. The words are ours; the RFC has the last one.',
  '',
  '| # | RFC | role | statement | shown by |',
  '| --- | --- | --- | --- | --- |',
]
for (const [number, section, role, statement, tests, remark] of rows) {
  const how = tests === 'no' ? `**no**: ${remark}` : `yes: ${shown(tests)}`
  const more = tests !== 'no' && remark !== undefined ? `. ${remark}` : ''
  lines.push(`| ${number} | ${section} | ${role} | ${statement} | ${how}${more} |`)
}
const text = `${lines.join('\n')}\n`
for (let number = 1; number <= 58; number++) {
  if (!rows.some(([n]) => n === number)) faults.push(`statement ${number} has no row`)
}
for (const fault of faults) console.error(`conformance: ${fault}`)
const path = 'docs/CONFORMANCE.md'
const stale = !existsSync(path) || readFileSync(path, 'utf8') !== text
if (process.argv.includes('--check')) {
  if (stale) console.error(`${path} is out of date: node scripts/conformance.mjs`)
  process.exitCode = stale || faults.length > 0 ? 1 : 0
} else {
  if (stale) writeFileSync(path, text)
  process.exitCode = faults.length > 0 ? 1 : 0
}
