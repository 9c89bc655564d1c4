/**
 * The Helm chart rendered: by `helm` where the environment variable HELM names it, else by what Helm is made of
 * (`render.go`; Debian has Go and sprig, and no Helm).
 */
import { execFile } from 'node:child_process'
import { writeFile } from 'node:fs/promises'
import { join, resolve } from 'node:path'
import { promisify } from 'node:util'
import { parseAllDocuments } from 'yaml'
import * as z from 'zod'
import { findOrInstall } from '../../support/debian.ts'

const run = promisify(execFile)
const CHART = resolve('deploy/helm/belfry')
const LIBRARIES = '/usr/share/gocode'

const Document = z.looseObject({
  apiVersion: z.string(),
  kind: z.string(),
  metadata: z.object({ name: z.string().max(63) }),
})
export type Document = z.infer<typeof Document>

const buildRenderer = async (dir: string): Promise<string> => {
  const go = await findOrInstall({
    ...{ variable: 'GO', names: ['go'], package: 'golang-go' },
    beside: {
      'golang-github-masterminds-sprig-dev': join(LIBRARIES, 'src/github.com/Masterminds/sprig'),
      'golang-k8s-sigs-yaml-dev': join(LIBRARIES, 'src/sigs.k8s.io/yaml'),
    },
  })
  const program = join(dir, 'render')
  const env = { ...process.env, GO111MODULE: 'off', GOPATH: LIBRARIES, GOCACHE: join(dir, 'go') }
  await run(go, ['build', '-o', program, 'test/deploy/helm/render.go'], { env })
  return program
}

/** Renders the chart with the values of an operator; rejects with what Helm says. */
export const createRenderer = async (dir: string): Promise<(values: object) => Promise<Document[]>> => {
  const helm = process.env.HELM
  const [program, given] = helm
    ? [helm, ['template', 'b', CHART, '--namespace', 'here', '--values']]
    : [await buildRenderer(dir), [CHART, 'b', 'here']]
  let count = 0
  return async (values) => {
    const file = join(dir, `values-${count++}.yaml`)
    await writeFile(file, JSON.stringify(values))
    const { stdout } = await run(program, [...given, file])
    // Helm leaves the notes out.
    const text = stdout.replace(/^---\n# Source: NOTES\.txt\n[\s\S]*?(?=^---$)/m, '')
    return parseAllDocuments(text).flatMap((one) => {
      const value: unknown = one.toJS()
      return value && typeof value === 'object' ? [Document.parse(value)] : []
    })
  }
}
