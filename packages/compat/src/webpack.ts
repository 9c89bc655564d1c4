/** The fixed hosts of published clients become a Belfry server when webpack builds a bundle. */
import { type BuildOptions, isInstalled } from './build/rewrite.ts'
import { targetOf } from './redirect/target.ts'

export type { BuildOptions } from './build/rewrite.ts'

/** As much of webpack's compiler as is used. */
export interface CompilerLike {
  options: { module: { rules: unknown[] } }
}

/**
 * A plugin for webpack that writes the server's address over the fixed hosts in installed packages. Their tokens are then made
 * out to the server, so that it needs no aliases.
 *
 * @param options `url`: the server; `except`: fixed hosts that are left alone
 * @returns a plugin for `plugins` of a webpack configuration
 * @throws TypeError when `url` is no address of a server
 * @example
 * import { belfryCompat } from '@belfry/compat/webpack'
 *
 * export default { plugins: [belfryCompat({ url: 'https://belfry.example.com' })] }
 */
export const belfryCompat = ({ url, ...rest }: BuildOptions): { apply(compiler: CompilerLike): void } => {
  targetOf(url, rest)
  const options = { url: String(url), ...rest }
  return {
    apply(compiler) {
      compiler.options.module.rules.push({
        ...{ test: /\.[cm]?js$/, include: isInstalled, enforce: 'pre' },
        use: [{ loader: '@belfry/compat/webpack-loader', options }],
      })
    },
  }
}
