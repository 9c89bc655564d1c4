import { type BuildOptions, build, type Metafile } from 'esbuild'

export interface BrowserBundle {
  /** One script; what the entry exports is the global `page`. */
  text: string
  /** Every file that was read, also where nothing of it was kept. */
  files: string[]
  /** What is left to be found at run time. */
  external: string[]
}

const externalOf = ({ inputs }: Metafile) =>
  Object.values(inputs).flatMap(({ imports }) =>
    imports.filter((each) => each.external).map(({ path }) => path),
  )

/**
 * Bundles as an application for browsers does: package.json's conditions `browser`, `import`, `module` and `default`, so
 * neither `node` nor `source`. Rejects when something imports what a browser does not have.
 */
export const bundleForBrowser = async (entry: string): Promise<BrowserBundle> => {
  const options = {
    stdin: { contents: entry, resolveDir: process.cwd(), loader: 'ts' },
    bundle: true,
    minify: true,
    platform: 'browser',
    target: 'es2022',
    format: 'iife',
    globalName: 'page',
    metafile: true,
    write: false,
    logLevel: 'silent',
  } satisfies BuildOptions
  const { metafile, outputFiles } = await build(options)
  const [script] = outputFiles
  if (!script) throw new Error('The bundle is empty')
  return {
    text: script.text,
    files: Object.keys(metafile.inputs).filter((file) => file !== '<stdin>'),
    external: externalOf(metafile),
  }
}
