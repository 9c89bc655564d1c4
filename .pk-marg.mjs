import { gzipSync } from 'node:zlib'
import { build } from 'esbuild'
import { bundleOptions } from './scripts/build-packages.mjs'

for (const p of ['wallet', 'dapp']) {
  const opts = {
    ...bundleOptions('packages/' + p, false),
    external: ['viem'],
    minify: true,
    write: false,
    metafile: true,
    entryPoints: [`packages/${p}/src/index.ts`],
  }
  const r = await build(opts)
  const total = gzipSync(r.outputFiles[0].contents, { level: 9 }).length
  console.log(p, total)
  const mods = Object.entries(Object.values(r.metafile.outputs)[0].inputs).filter(
    ([, i]) => i.bytesInOutput > 200,
  )
  // marginal: replace contents in output by marking external is hard; strip by unminified segments: build with minify and linebreak per module not available -> approximate by building with stub proxies
  const out = []
  for (const [f, i] of mods) {
    const stub = {
      name: 's',
      setup(b) {
        b.onLoad({ filter: new RegExp(f.replace(/[.*+?^${}()|[\]\\]/g, '\\$&') + '$') }, async () => {
          const names = [
            ...(await import('node:fs'))
              .readFileSync(f, 'utf8')
              .matchAll(/export (?:declare )?(?:async )?(?:const|function|class|let)\s+([\w$]+)/g),
          ].map((m) => m[1])
          return {
            contents: names.map((n) => `export const ${n}=globalThis.x.${n}`).join('\n'),
            loader: 'ts',
          }
        })
      },
    }
    try {
      const q = await build({ ...opts, logLevel: 'silent', plugins: [stub, ...opts.plugins] })
      out.push([total - gzipSync(q.outputFiles[0].contents, { level: 9 }).length, i.bytesInOutput, f])
    } catch {
      out.push([-1, i.bytesInOutput, f])
    }
  }
  console.log(
    out
      .sort((a, b) => b[0] - a[0])
      .slice(0, 45)
      .map((x) => x.join(' '))
      .join('\n'),
  )
}
