import { build } from 'esbuild'

for (const e of ['packages/wallet/src/index.ts', 'packages/dapp/src/index.ts']) {
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
    alias: {
      '#schema': './src/platform/schema/portable.ts',
      '#bytes': './src/platform/runtime/bytes-portable.ts',
      '#crypto': './src/platform/runtime/crypto-portable.ts',
      '#secp256k1': './src/platform/runtime/secp256k1-portable.ts',
      '#socket': './src/platform/runtime/socket-browser.ts',
    },
  })
  const m = {}
  for (const [k, o] of Object.entries(r.metafile.outputs))
    for (const [p, i] of Object.entries(o.inputs)) m[p] = (m[p] ?? 0) + i.bytesInOutput
  console.log(
    e,
    Object.entries(m)
      .sort((a, b) => b[1] - a[1])
      .slice(0, 60)
      .map(([p, n]) => n + ' ' + p)
      .join('\n'),
  )
}
