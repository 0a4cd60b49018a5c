import {DescriptorSink, type OctetSink} from './octet-sink.js'
import {readDescriptor, type Ending, type OctetInput} from './read-descriptor.js'

/** Standard input as octets; named `-`. */
export function standardInput(ending: Ending): Promise<OctetInput> {
  return readDescriptor('-', 0, ending)
}

/** Standard output; `closed` is called when its reader went away. */
export function standardOutput(closed?: () => void): OctetSink {
  return new DescriptorSink('-', 1, closed)
}
