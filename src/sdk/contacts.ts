/**
 * Installations of accounts: `belfry/contacts`. Node and browsers.
 *
 *     const contacts = contactsClient({ url: 'https://belfry.example.com' })
 *     for (const keyPackage of await contacts.fetch('did:pkh:eip155:1:0x…')) encryptTo(keyPackage)
 */
import '../platform/runtime/dispose-symbols.ts'
import { type ContactsClient, type ContactsClientOptions, createContactsClient } from '../contacts/client.ts'
import type { FetchDeps } from '../platform/net/fetch-json.ts'
import { systemClock } from '../platform/runtime/clock.ts'

export type { Attribute } from '../contacts/attribute.ts'
export type { ContactsClient, ContactsClientOptions, InstallationSigner } from '../contacts/client.ts'
export { type ErrorCode, ProtocolError } from '../protocol/errors.ts'
export { generateSigningKey, type SigningKey, signingKeyFrom } from '../protocol/keys.ts'

/**
 * A client for the installations of accounts.
 *
 * @param options where the service is
 * @param deps clock and `fetch`; for tests
 * @returns the client; it opens no connection
 * @example
 * const contacts = contactsClient({ url: 'https://belfry.example.com' })
 * const keyPackages = await contacts.fetch('did:pkh:eip155:1:0x…')
 */
export const contactsClient = (
  options: ContactsClientOptions,
  deps: Partial<FetchDeps> = {},
): ContactsClient => {
  const { clock = systemClock, fetch = globalThis.fetch.bind(globalThis) } = deps
  return createContactsClient({ clock, fetch }, options)
}
