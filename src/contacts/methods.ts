/**
 * The methods by their names, in two dialects: what each is asked with and what it answers.
 *
 * | method             | answers                                            | `xps_…`, as the published gateway answers      |
 * |--------------------|----------------------------------------------------|------------------------------------------------|
 * | fetchKeyPackages   | `{status: "success", installation: [text, …]}`     | `{status: "Success", message, installation: [[byte, …], …]}` |
 * | grantInstallation  | `{status: "success", message}`                     | `{status: "Success", message, transaction}`    |
 * | revokeInstallation | `{status: "success", message}`                     | `null`                                         |
 * | nonce              | `{status: "success", nonce, registry}`             | the nonce as `0x…`                             |
 * | status             | `"OK"`                                             | `"OK"`                                         |
 * | rpc_methods        | `{methods: [name, …]}`                             | –                                              |
 *
 * There is no chain here, so `transaction` is the hash that was signed, and null for a token. The gateway's signers
 * have no say in the validity: it is 365 days.
 */
import type * as z from 'zod'
import type { Payer } from '../platform/budgets/payer.ts'
import { checked } from '../platform/validate.ts'
import { ProtocolError } from '../protocol/errors.ts'
import { readAttribute, writeValue } from './attribute.ts'
import { MAX_VALIDITY_S } from './limits.ts'
import type { Authority } from './permits.ts'
import { type Change, Grant, named, Revoke, Whose } from './schema.ts'
import type { Contacts } from './service.ts'

export type Method = (params: unknown, payer: Payer) => Promise<unknown>

/** Two authorities at once contradict each other; none is no authority. */
const authorityOf = ({ name, value, signature, jwt, validity }: Change): Authority => {
  const isNamed = name !== undefined && value !== undefined
  const attribute = isNamed ? readAttribute(name, value) : undefined
  if (signature && jwt !== undefined) throw new ProtocolError('bad_params', 'a signature and a jwt')
  if (jwt !== undefined) return { kind: 'jwt', jwt, attribute }
  if (!attribute) throw new ProtocolError('bad_params', 'name and value are missing')
  if (!signature) throw new ProtocolError('forbidden', 'neither a signature nor a jwt')
  return { kind: 'signature', signature, attribute, validity: validity ?? MAX_VALIDITY_S }
}

const read = <S extends z.ZodObject>(schema: S, params: unknown): z.output<S> =>
  checked(schema, named(schema, params))

export const createMethods = (contacts: Contacts): ReadonlyMap<string, Method> => {
  const grant: (...asked: Parameters<Method>) => ReturnType<Contacts['grant']> = (params, payer) => {
    const change = read(Grant, params)
    return contacts.grant(change.did, authorityOf(change), payer)
  }
  const revoke: Method = (params, payer) => {
    const change = read(Revoke, params)
    return contacts.revoke(change.did, authorityOf(change), payer)
  }
  const whose = (params: unknown) => read(Whose, params).did

  const methods = new Map<string, Method>([
    [
      'fetchKeyPackages',
      async (params) => {
        const found = await contacts.installations(whose(params))
        return { status: 'success', installation: found.map(({ name, value }) => writeValue(name, value)) }
      },
    ],
    [
      'grantInstallation',
      async (params, payer) => {
        await grant(params, payer)
        return { status: 'success', message: 'Installation granted.' }
      },
    ],
    [
      'revokeInstallation',
      async (params, payer) => {
        await revoke(params, payer)
        return { status: 'success', message: 'Installation revoked.' }
      },
    ],
    ['nonce', async (params) => ({ status: 'success', ...(await contacts.nonce(whose(params))) })],
    ['status', async () => 'OK'],
    [
      'xps_fetchKeyPackages',
      async (params) => {
        const found = await contacts.installations(whose(params))
        const installation = found.map(({ value }) => [...value])
        return { status: 'Success', message: 'Key packages retrieved.', installation }
      },
    ],
    [
      'xps_grantInstallation',
      async (params, payer) => {
        const { digest } = await grant(params, payer)
        return { status: 'Success', message: 'Installation granted.', transaction: digest ?? null }
      },
    ],
    [
      'xps_revokeInstallation',
      async (params, payer) => {
        await revoke(params, payer)
        return null
      },
    ],
    ['xps_nonce', async (params) => `0x${(await contacts.nonce(whose(params))).nonce.toString(16)}`],
    ['xps_status', async () => 'OK'],
  ])
  const names = ['rpc_methods', ...methods.keys()].sort()
  return methods.set('rpc_methods', async () => ({ methods: names }))
}
