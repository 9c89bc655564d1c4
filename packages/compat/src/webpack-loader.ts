/** The loader that the plugin of `@belfry/compat/webpack` adds. */
import { type BuildOptions, createRewrite } from './build/rewrite.ts'
import { targetOf } from './redirect/target.ts'

export default function loader(this: { getOptions(): BuildOptions }, code: string): string {
  const { url, ...options } = this.getOptions()
  return createRewrite(targetOf(url, options))(code) ?? code
}
