/** What anybody may ask. */
import type { Operation } from '../../../platform/net/description.ts'
import {
  DidDocument,
  NotifyConfigAnswer,
  NotifyConfigQuery,
  ProjectsAnswer,
  ProjectsQuery,
} from '../schema.ts'
import { NO_APP } from './dapps.ts'
import { APP, DOMAIN } from './examples.ts'

const didDocument = (did: string) => ({
  '@context': ['https://www.w3.org/ns/did/v1', 'https://w3id.org/security/suites/jws-2020/v1'],
  id: did,
  verificationMethod: [
    {
      ...{ id: `${did}#wc-notify-subscribe-key`, type: 'JsonWebKey2020', controller: did },
      publicKeyJwk: { kty: 'OKP', crv: 'X25519', x: 'L4xtfltKOSgXBvXk08KxoJ-OfWxbSjkoFwafjn1sW0o' },
    },
    {
      ...{ id: `${did}#wc-notify-authentication-key`, type: 'JsonWebKey2020', controller: did },
      publicKeyJwk: { kty: 'OKP', crv: 'Ed25519', x: 'Sy7U0OSo0fPwo7mhxcKxoPno18a1pJOCcWBQQDAgEAA' },
    },
  ],
  keyAgreement: [`${did}#wc-notify-subscribe-key`],
  authentication: [`${did}#wc-notify-authentication-key`],
})

const LISTING = {
  ...{ id: DOMAIN, name: APP.name, homepage: APP.url, description: APP.description },
  ...{ dapp_url: APP.url, image_url: APP.icons },
}

export const LOOK_UP_OPERATIONS: readonly Operation[] = [
  {
    ...{ id: 'followLink', method: 'get', path: '/v1/notification/{id}' },
    summary: 'Follow the link of a notification',
    description: 'Leads to the url of a notification that was delivered, and counts that it was followed.',
    answer: { status: 307, says: "To the notification's url", headers: { Location: 'Where it leads' } },
    failures: { 404: 'No such notification, or it has no url' },
    example: { params: { id: '0b5f7f0e-58a1-8a3e-9c0b-1d2e3f405162' } },
  },
  {
    ...{ id: 'getDidDocument', method: 'get', path: '/.well-known/did.json' },
    summary: 'Get the did:web document of this server',
    description: 'The keys of this server, or of the app whose domain the Host header names.',
    answer: DidDocument,
    example: { answer: didDocument('did:web:notify.example.com') },
  },
  {
    ...{ id: 'getAppDidDocument', method: 'get', path: '/apps/{domain}/did.json' },
    summary: 'Get the did:web document of an app',
    description: 'The keys of an app, to be copied to its own domain, or proxied from it.',
    answer: DidDocument,
    failures: { 404: NO_APP },
    example: { params: { domain: DOMAIN }, answer: didDocument(`did:web:${DOMAIN}`) },
  },
  {
    ...{ id: 'getNotifyConfig', method: 'get', path: '/w3i/v1/notify-config' },
    summary: 'Get what an app says about itself',
    description: 'What an app says about itself, and its notification types, as wallets ask for it.',
    query: NotifyConfigQuery,
    answer: NotifyConfigAnswer,
    failures: { 404: NO_APP },
    example: {
      query: { appDomain: DOMAIN },
      answer: {
        data: {
          ...LISTING,
          notificationTypes: APP.types.map((type) => ({ ...type, imageUrls: APP.icons })),
          isVerified: false,
        },
      },
    },
  },
  {
    ...{ id: 'listPublicApps', method: 'get', path: '/w3i/v1/projects' },
    summary: 'List the apps that chose to be listed',
    description: 'Wallets show this list. A wrong number of a page is taken for the default.',
    query: ProjectsQuery,
    answer: ProjectsAnswer,
    example: {
      query: { entries: '100', page: '1' },
      answer: { projects: { [DOMAIN]: { ...LISTING, is_verified: false } }, count: 1 },
    },
  },
]
