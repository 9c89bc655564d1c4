/**
 * The conformance kit imports `globSync`, which Node has from 22 on, for a command that is not used here. Loaded by
 * `--import` before the kit; its own code stays as it is.
 */
import { register } from 'node:module'

const SHIM = `export * from 'node:fs'; export const globSync = () => { throw new Error('Node 20 has no globSync') }`
const HOOKS = `
  const SHIM = ${JSON.stringify(`data:text/javascript,${encodeURIComponent(SHIM)}`)}
  export const resolve = (specifier, context, next) =>
    specifier === 'fs' && context.parentURL?.includes('/conformance/')
      ? { url: SHIM, shortCircuit: true }
      : next(specifier, context)
`
register(`data:text/javascript,${encodeURIComponent(HOOKS)}`)
