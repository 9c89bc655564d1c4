import { spawnSync } from 'node:child_process'
import { cpSync, mkdirSync, mkdtempSync, readdirSync, rmSync, symlinkSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join, resolve } from 'node:path'
import { afterEach, beforeEach, expect, it } from 'vitest'

let dir: string
beforeEach(() => {
  dir = mkdtempSync(join(tmpdir(), 'belfry-installed-'))
})
afterEach(() => rmSync(dir, { recursive: true, force: true }))

/** The package as it is installed where nobody asked for viem. */
const installWithoutViem = () => {
  cpSync('dist', join(dir, 'dist'), { recursive: true })
  cpSync('package.json', join(dir, 'package.json'))
  mkdirSync(join(dir, 'node_modules'))
  for (const name of readdirSync('node_modules')) {
    if (name !== 'viem') symlinkSync(resolve('node_modules', name), join(dir, 'node_modules', name))
  }
}

it('nodes of chains need viem: where it is not installed, the start says so in one sentence', () => {
  installWithoutViem()
  const env = { ...process.env, BELFRY_RPC_URLS: 'eip155:1=https://node.example/v3/a-key' }
  const serve = ['dist/cli/main.js', 'serve', '--port', '0', '--data', join(dir, 'data')]
  const { status, stdout, stderr } = spawnSync(process.execPath, serve, { cwd: dir, env, encoding: 'utf8' })
  expect({ status, stdout, stderr }).toEqual({
    status: 1,
    stdout: '',
    stderr: 'BELFRY_RPC_URLS needs the package viem, which is not installed: npm install viem.\n',
  })
})
