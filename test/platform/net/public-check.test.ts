import { describe, expect, it } from 'vitest'
import { addressRules } from '../../../src/platform/net/public-address.ts'
import { createUrlCheck } from '../../../src/platform/net/public-check.ts'

const NAMES = new Map([
  ['outside.example', ['93.184.215.14', '2606:2800:21f::1']],
  ['inside.example', ['10.0.0.1']],
  ['mixed.example', ['93.184.215.14', '10.0.0.1']],
  ['empty.example', []],
])
const resolve = async (host: string) => {
  const found = NAMES.get(host)
  if (!found) throw new Error('ENOTFOUND')
  return found.map((address) => ({ address }))
}

describe('a URL that is to be called later', () => {
  const check = createUrlCheck(addressRules(), { resolve })

  it.each([
    'http://169.254.169.254',
    'https://169.254.169.254',
    'http://127.1',
    'https://127.1',
    'https://0x7f000001/',
    'http://[::1]',
    'https://[::1]',
    'https://[::ffff:10.0.0.1]',
    'https://inside.example',
    'https://mixed.example',
    'https://empty.example',
    'https://unknown.example',
    'http://outside.example',
    'file:///etc/passwd',
    'https://user@outside.example',
    '/path',
    '',
  ])('is refused: %s', async (url) => {
    await expect(check(url)).rejects.toMatchObject({ code: 'bad_params', field: 'url' })
  })

  it('is taken when all its addresses are public, or allowed', async () => {
    await expect(check('https://outside.example/hook')).resolves.toBeUndefined()
    const near = createUrlCheck(addressRules(['10.0.0.0/8']), { resolve })
    await expect(near('http://inside.example/hook')).resolves.toBeUndefined()
    await expect(near('http://127.0.0.1/hook')).rejects.toMatchObject({ code: 'bad_params' })
  })

  it('is refused without telling what its name leads to', async () => {
    const refusal = await check('https://inside.example').catch(String)
    expect(refusal).toContain('its address is not a public one')
    expect(refusal).not.toContain('10.0.0.1')
  })
})
