// Boots a kernel in an emulator, with this machine's files as its own, read-only, and runs one script in it.
import {execFileSync, spawn} from 'node:child_process'
import {existsSync, mkdirSync, readFileSync, writeFileSync} from 'node:fs'
import {basename, join} from 'node:path'

/** Modules that the root file system needs, and those that tests make traffic with. */
const wanted = [
  'virtio_pci',
  '9pnet_virtio',
  '9p',
  'overlay',
  'virtio_rng',
  'veth',
  'vxlan',
  'dummy',
  'inet_diag',
  'tcp_diag',
  'udp_diag',
  'nf_tables',
]

/** Modules in the order in which they can be loaded. Those that are part of the kernel are left out. */
function modulesOf({root, version}, names) {
  const order = new Set()
  for (const name of names) {
    const text = execFileSync(
      'modprobe',
      ['-d', root, '-S', version, '--show-depends', '--ignore-install', name],
      {encoding: 'utf8', env: {PATH: `${process.env.PATH}:/sbin`}},
    )
    for (const [, path] of text.matchAll(/^insmod (\S+)/gm)) order.add(path)
  }
  return [...order]
}

/** One member of a cpio archive of the kind that kernels take (newc). */
function member(name, mode, data = Buffer.alloc(0)) {
  const hex = (n) => n.toString(16).padStart(8, '0')
  const fields = [member.next++, mode, 0, 0, 1, 0, data.length, 0, 0, 0, 0, name.length + 1, 0]
  const head = Buffer.from(`070701${fields.map(hex).join('')}${name}\0`)
  const pad = (octets) => Buffer.concat([octets, Buffer.alloc(-octets.length & 3)])
  return Buffer.concat([pad(head), pad(data)])
}
member.next = 1

const init = (modules) => `#!/bin/busybox sh
/bin/busybox --install -s /bin
mount -t proc proc /proc; mount -t sysfs sys /sys; mount -t devtmpfs dev /dev
for m in ${modules.map((path) => basename(path)).join(' ')}; do insmod /m/$m || echo "VM: no $m"; done
mkdir -p /host /rw /new
mount -t 9p -o trans=virtio,version=9p2000.L,ro,cache=loose,msize=262144 host /host || echo 'VM: no host'
mount -t tmpfs tmpfs /rw; mkdir /rw/up /rw/work
mount -t overlay -o lowerdir=/host,upperdir=/rw/up,workdir=/rw/work overlay /new || echo 'VM: no overlay'
for d in proc sys dev; do mount --move /$d /new/$d; done
mkdir -p /new/out
mount -t 9p -o trans=virtio,version=9p2000.L,msize=262144 out /new/out || echo 'VM: no out'
exec switch_root /new /bin/sh /out/vm.sh
`

/** The octets of a module, which Debian compresses in newer kernels. */
function moduleOctets(path) {
  return path.endsWith('.xz')
    ? execFileSync('xz', ['-dc', path], {maxBuffer: 1 << 26})
    : readFileSync(path)
}

function makeInitramfs(kernel, path) {
  const modules = kernel.builtIn ? [] : modulesOf(kernel, wanted)
  const plain = (file) => basename(file).replace(/\.xz$/, '')
  writeFileSync(
    path,
    Buffer.concat([
      ...['bin', 'dev', 'proc', 'sys', 'm'].map((name) => member(name, 0o40755)),
      member('bin/busybox', 0o100755, readFileSync('/bin/busybox')),
      member('init', 0o100755, Buffer.from(init(modules.map(plain)))),
      ...modules.map((file) => member(`m/${plain(file)}`, 0o100644, moduleOctets(file))),
      member('TRAILER!!!', 0),
    ]),
  )
}

/**
 * Boots a kernel and runs `script` in it, with `folder` mounted for writing at /out.
 *
 * @param options.icount count guest instructions instead of time: one processor, each instruction takes 1 ns
 * @param options.parallel lets the two processors really run at once, instead of by turns of up to 100 ms. That finds
 *   more races, but the emulator itself has one: while the kernel rewrites its own instructions (jump labels, when a hook,
 *   a time stamp or a module comes or goes), the other processor may still meet the breakpoint that is no longer there,
 *   and the kernel dies of "int3".
 * @param options.timeoutMs after which the emulator is stopped
 * @returns what was written to the console, and the script's status; undefined if it did not come to its end
 */
export async function boot(
  kernel,
  folder,
  script,
  {icount = false, parallel = false, timeoutMs = 300_000} = {},
) {
  mkdirSync(folder, {recursive: true})
  const initramfs = join(kernel.root, 'initramfs.cpio')
  if (!existsSync(initramfs)) makeInitramfs(kernel, initramfs)
  writeFileSync(
    join(folder, 'vm.sh'),
    // What the script says is kept apart from what the kernel says.
    `export PATH=/usr/sbin:/usr/bin:/sbin:/bin HOME=/root\nmkdir -p /run /tmp; mount -t tmpfs tmpfs /run\n` +
      `mount -t cgroup2 cgroup2 /sys/fs/cgroup 2>/dev/null\n` +
      `mount -t debugfs debugfs /sys/kernel/debug 2>/dev/null\n` +
      `( ${script} ) >/out/said 2>&1\necho $? >/out/status; dmesg >/out/dmesg; sync; echo "VM-END"\n/bin/busybox reboot -f\n`,
  )
  const memory = String(kernel.memoryMiB ?? 768)
  const cpu = icount
    ? ['-accel', 'tcg,thread=single', '-icount', 'shift=0,sleep=off', '-smp', '1']
    : // Without ACPI only the first core of each socket is found.
      [
        ...['-accel', `tcg,thread=${parallel ? 'multi' : 'single'}`],
        ...['-smp', '2,sockets=2,cores=1,threads=1'],
      ]
  const words = [
    ...['-n', '5', 'qemu-system-x86_64', ...cpu, '-cpu', 'max', '-m', memory, '-no-reboot'],
    ...['-nodefaults', '-display', 'none', '-monitor', 'none', '-serial', 'stdio'],
    ...['-fsdev', 'local,id=h,path=/,security_model=none,readonly=on,multidevs=remap'],
    ...['-device', 'virtio-9p-pci,fsdev=h,mount_tag=host'],
    ...['-fsdev', `local,id=o,path=${folder},security_model=none`],
    ...['-device', 'virtio-9p-pci,fsdev=o,mount_tag=out', '-device', 'virtio-rng-pci'],
    ...['-kernel', kernel.vmlinux, '-initrd', initramfs, '-append'],
    'console=ttyS0 panic=-1 quiet mitigations=off nokaslr tsc=reliable no_timer_check audit=0 reboot=t',
  ]
  const child = spawn('nice', words, {stdio: ['ignore', 'pipe', 'pipe']})
  const timer = setTimeout(() => child.kill('SIGKILL'), timeoutMs)
  let console = ''
  for (const stream of [child.stdout, child.stderr]) {
    stream.setEncoding('utf8').on('data', (text) => (console += text))
  }
  await new Promise((done) => child.on('close', done))
  clearTimeout(timer)
  const read = (name) => {
    const path = join(folder, name)
    return existsSync(path) ? readFileSync(path, 'utf8') : undefined
  }
  const status = read('status')
  return {
    console,
    said: read('said') ?? '',
    dmesg: read('dmesg') ?? '',
    status: status === undefined ? undefined : Number(status),
  }
}
