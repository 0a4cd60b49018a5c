import type {DartaCommand} from '../../cli/base-command.js'
import {compressSink} from '../../cli/record-output.js'
import {placeName, type Place, type Rotation} from '../../cli/rotation.js'
import type {Compression} from '../../cli/values.js'
import type {OctetSink} from '../../io/octet-sink.js'
import {writeFile} from '../../io/write-file.js'
import type {Hook} from '../collect/hook.js'
import type {Destination} from './destination.js'

export interface FileOptions {
  /** As of `placeName`. */
  readonly pattern: string
  readonly rotation: Rotation
  readonly force: boolean
  readonly compress?: Compression
  /** Run for each file that is whole. */
  readonly hook?: Hook
}

/** One file, or a series of them, each whole when it has its name. */
export async function fileDestination(
  command: DartaCommand,
  first: Place,
  options: FileOptions,
): Promise<Destination> {
  const {pattern, rotation, compress, hook} = options
  let place = first
  let sink = await open(first)

  async function open(place: Place): Promise<OctetSink> {
    // A ring replaces its own files, whatever --force says of those of others.
    const own = rotation.files !== undefined && place.file > rotation.files
    const file = await writeFile(placeName(pattern, place, rotation), {
      force: options.force || own,
      stopping: command.stopping,
    })
    return compressSink(file, compress)
  }

  async function finish(): Promise<void> {
    await sink.end()
    const path = placeName(pattern, place, rotation)
    hook?.run({path, startMs: place.startMs ?? Date.now()})
  }

  return {
    get name() {
      return sink.name
    },
    account: undefined,
    live: false,
    async write(chunks) {
      await sink.write(chunks)
      return 'taken'
    },
    async next(next) {
      await finish()
      place = next
      sink = await open(place)
    },
    async end() {
      await finish()
      await hook?.ended()
    },
    abort: () => sink.abort(),
  }
}
