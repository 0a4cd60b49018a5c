import {readFile} from 'node:fs/promises'

/** esbuild plugins without which the bundle would start twice as slowly. */
export const quickStart = [lazyRequires(), silentDebug(), builtinModules()]

/**
 * Modules of oclif load what they require when they first use it. oclif loads its help, plugin
 * finder, spinners and several of Node's modules with every command, most of which use none of
 * them. Its files are compiled TypeScript, in which a required module is only ever used as
 * `name_1.member`, so that a call can stand for the name.
 */
function lazyRequires() {
  return {
    name: 'lazy-requires',
    setup(build) {
      build.onLoad({filter: /node_modules\/@oclif\/core\/lib\/.*\.js$/}, async ({path}) => {
        return {contents: makeLazy(await readFile(path, 'utf8')), loader: 'js'}
      })
    },
  }
}

const required =
  /^(?:const|var) (\w+_\d+) = ((?:__importDefault\(|__importStar\()?require\("[^"]+"\)\)?);$/gm

function makeLazy(source) {
  const names = []
  const rest = source.replace(required, (_, name, expression) => {
    names.push([name, expression])
    return ''
  })
  if (names.length === 0) return source
  const anyName = new RegExp(`\\b(?:${names.map(([name]) => name).join('|')})\\b`, 'g')
  const loaders = names.map(
    ([name, expression]) => `let ${name}_;\nconst ${name} = () => (${name}_ ??= ${expression});`,
  )
  return `${loaders.join('\n')}\n${rest.replace(anyName, '($&())')}`
}

/** oclif's own debugging output, which loads terminals and sockets with every command: there is none. */
function silentDebug() {
  return {
    name: 'silent-debug',
    setup(build) {
      build.onResolve({filter: /^debug$/}, () => ({path: 'debug', namespace: 'silent'}))
      build.onLoad({filter: /.*/, namespace: 'silent'}, () => ({
        contents: 'module.exports = () => Object.assign(() => {}, {enabled: false})',
      }))
    },
  }
}

/**
 * Our modules take what they need of Node's by `process.getBuiltinModule`. An `import` of one reads
 * all its members, and by that loads fs.promises, util.diff, workers and more that Node itself
 * loads on demand.
 */
function builtinModules() {
  return {
    name: 'builtin-modules',
    setup(build) {
      build.onLoad({filter: /\/src\/.*\.ts$/}, async ({path}) => {
        const source = await readFile(path, 'utf8')
        return {contents: source.replace(builtinImport, takeBuiltin), loader: 'ts'}
      })
    },
  }
}

const builtinImport = /^import \{([^}]*)\} from '(node:[^']+)'$/gm

function takeBuiltin(_, list, module) {
  const names = list
    .split(',')
    .map((name) => name.trim().replace(/ as /, ': '))
    .filter((name) => name !== '' && !name.startsWith('type '))
  return `const {${names.join(', ')}} = process.getBuiltinModule('${module}')`
}
