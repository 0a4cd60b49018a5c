import fc from 'fast-check'

// Without it a failure names its counterexample alone: what went wrong with it stands in `cause`, which TAP leaves out.
fc.configureGlobal({includeErrorInReport: true})

export default fc
