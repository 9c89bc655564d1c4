/** The fixed hosts of published clients become a Belfry server when Vite, or Rollup, builds a bundle. */
import { type BuildOptions, createRewrite, isInstalled } from './build/rewrite.ts'
import { targetOf } from './redirect/target.ts'

export type { BuildOptions } from './build/rewrite.ts'

/** As much of a plugin of Vite and Rollup as this one is. */
export interface CompatPlugin {
  name: string
  enforce: 'pre'
  transform(code: string, id: string): { code: string; map: null } | undefined
}

/**
 * A plugin that writes the server's address over the fixed hosts in installed packages. Their tokens are then made out to the
 * server, so that it needs no aliases.
 *
 * @param options `url`: the server; `except`: fixed hosts that are left alone
 * @returns a plugin for `plugins` of a Vite or Rollup configuration
 * @throws TypeError when `url` is no address of a server
 * @example
 * import { belfryCompat } from '@belfry/compat/vite'
 *
 * export default { plugins: [belfryCompat({ url: 'https://belfry.example.com' })] }
 */
export const belfryCompat = ({ url, ...options }: BuildOptions): CompatPlugin => {
  const target = targetOf(url, options)
  const rewrite = createRewrite(target)
  return {
    // Vite tells browsers to keep bundled packages for a year, under a name that changes with those of plugins.
    name: `belfry-compat:${target.http}:${[...target.hosts].join()}`,
    enforce: 'pre',
    transform(code, id) {
      const rewritten = isInstalled(id) ? rewrite(code) : undefined
      return rewritten === undefined ? undefined : { code: rewritten, map: null }
    },
  }
}
