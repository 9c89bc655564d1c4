import { gzipSync } from 'node:zlib'
import { build } from 'esbuild'

for (const e of ['packages/wallet/dist/index.js', 'packages/dapp/dist/index.js']) {
  const r = await build({
    entryPoints: [e],
    bundle: true,
    format: 'esm',
    minify: true,
    metafile: true,
    write: false,
    platform: 'browser',
    target: 'es2020',
    external: ['viem', 'viem/*'],
    legalComments: 'none',
  })
  for (const o of r.outputFiles) console.log(e, o.contents.length, gzipSync(o.contents, { level: 9 }).length)
}
