// Checks the types of TypeScript examples against the built package, each as a module of its own.
import { spawnSync } from 'node:child_process'
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'

/** What an example may use without saying where it comes from: what its reader has. */
const GIVEN = `
declare const account: string
declare const accounts: string[]
declare const actorKeys: Parameters<typeof import('belfry/credentials').dataApproval>[0]['actorKeys']
declare const audience: string
declare const body: string
declare const did: string
declare const identityKey: import('belfry/contacts').SigningKey
declare const key: import('belfry/sessions').SigningKey
declare const knownKey: Parameters<typeof import('belfry/credentials').dataApproval>[0]['knownKey']
declare const link: string
declare const nonce: string
declare const privateJwk: Parameters<typeof import('belfry/credentials').holderKeyOf>[0]
declare const privateKey: Uint8Array
declare const projectId: string
declare const provider: import('belfry/wallet').Eip1193Provider
declare const publicKey: Uint8Array
declare const request: Request
declare const query: Parameters<typeof import('belfry/credentials').verifyPresentation>[0]['query']
declare const id: string
declare const sdJwt: string
declare const secret: string
declare const seed: Uint8Array
declare const signal: AbortSignal
declare const text: string
declare const theirDid: string
declare const theirX25519Key: Uint8Array
declare const topic: string
declare const trusted: Record<string, JsonWebKey[]>
declare const typeId: string
declare const vp_token: string
declare const wallet: import('belfry/wallet').Wallet
declare function askPerson(request: object): Promise<boolean>
declare function challengeOfServer(): Promise<string>
declare function personalSign(text: string): Promise<string>
declare function show(...what: unknown[]): void
`

const OPTIONS = {
  target: 'es2023',
  lib: ['es2023', 'esnext.disposable', 'dom'],
  module: 'nodenext',
  types: ['node'],
  strict: true,
  skipLibCheck: true,
  noEmit: true,
}

/** `examples`: `{document, text}` of each. Returns a sentence for each mistake. */
export const typeCheck = (examples) => {
  // Below the package, so that `belfry/…` is the package itself.
  const directory = mkdtempSync(join(process.cwd(), '.documents-'))
  try {
    const given = join(directory, 'given.d.ts')
    writeFileSync(given, GIVEN)
    const files = examples.map(({ text }, at) => {
      const file = join(directory, `example-${at}.ts`)
      writeFileSync(file, `${text}\nexport {}\n`)
      return file
    })
    const project = join(directory, 'tsconfig.json')
    writeFileSync(project, JSON.stringify({ compilerOptions: OPTIONS, files: [given, ...files] }))
    const { status, stdout } = spawnSync('npx', ['tsc', '-p', project, '--pretty', 'false'], {
      encoding: 'utf8',
    })
    if (status === 0) return []
    const mistakes = stdout.split('\n').flatMap((line) => {
      const [, at, row, message] = /example-(\d+)\.ts\((\d+),.*?\): error \w+: (.*)/.exec(line) ?? []
      const example = examples[Number(at)]
      return example
        ? [
            `${example.document}: ${message} (line ${row} of an example: ${example.text.split('\n')[row - 1]?.trim()})`,
          ]
        : []
    })
    return mistakes.length > 0 ? mistakes : [`The examples could not be checked: ${stdout}`]
  } finally {
    rmSync(directory, { recursive: true, force: true })
  }
}
