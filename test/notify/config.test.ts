import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { type HttpWorld, NEWS, OFFERS, PUBLIC_URL, startWithApp } from '../support/world/notify-http.ts'

let world: HttpWorld
beforeEach(async () => {
  world = await startWithApp()
})
afterEach(() => world[Symbol.asyncDispose]())

const base64url = (bytes: Uint8Array | string) =>
  Buffer.from(typeof bytes === 'string' ? Buffer.from(bytes, 'hex') : bytes).toString('base64url')

const documentOf = (did: string, subscribe: string, authentication: string) => ({
  '@context': ['https://www.w3.org/ns/did/v1', 'https://w3id.org/security/suites/jws-2020/v1'],
  id: did,
  verificationMethod: [
    {
      id: `${did}#wc-notify-subscribe-key`,
      type: 'JsonWebKey2020',
      controller: did,
      publicKeyJwk: { kty: 'OKP', crv: 'X25519', x: subscribe },
    },
    {
      id: `${did}#wc-notify-authentication-key`,
      type: 'JsonWebKey2020',
      controller: did,
      publicKeyJwk: { kty: 'OKP', crv: 'Ed25519', x: authentication },
    },
  ],
  keyAgreement: [`${did}#wc-notify-subscribe-key`],
  authentication: [`${did}#wc-notify-authentication-key`],
})

describe('did.json', () => {
  const serverDocument = () =>
    documentOf(
      'did:web:belfry.example',
      base64url(world.serverKeys.subscribe.publicKey),
      base64url(world.serverKeys.authentication.publicKey),
    )
  const appDocument = async (domain: string, did = `did:web:${domain}`) => {
    const record = await world.store.app(domain)
    return documentOf(did, base64url(record?.subscribeKey ?? ''), base64url(record?.authenticationKey ?? ''))
  }
  const asked = async (host: string) => {
    const answer = await world.routes.request('/.well-known/did.json', { headers: { host } })
    return answer.json()
  }

  it("is the server's on its own host, and on every host that is no app's", async () => {
    for (const host of [
      'belfry.example',
      'notify.walletconnect.com',
      '127.0.0.1:8080',
      'Not a domain',
      '[::1]',
    ]) {
      expect(await asked(host)).toEqual(serverDocument())
    }
  })

  it("is the app's where the host is the app's domain", async () => {
    await world.apps.enrol({ projectId: world.project.id, domain: 'localhost:3000' })
    expect(await asked('app.example')).toEqual(await appDocument('app.example'))
    expect(await asked('APP.example')).toEqual(await appDocument('app.example'))
    expect(await asked('localhost:3000')).toEqual(
      await appDocument('localhost:3000', 'did:web:localhost%3A3000'),
    )
  })

  it("stays the server's when an app has the server's own domain", async () => {
    await world.apps.enrol({ projectId: world.project.id, domain: 'belfry.example' })
    expect(await asked('belfry.example')).toEqual(serverDocument())
    expect((await world.call('GET', '/apps/belfry.example/did.json')).body).toEqual(
      await appDocument('belfry.example'),
    )
  })

  it('of an app can be fetched by its domain', async () => {
    await world.apps.enrol({ projectId: world.project.id, domain: 'localhost:3000' })
    for (const path of ['/apps/localhost:3000/did.json', '/apps/localhost%3A3000/did.json']) {
      expect((await world.call('GET', path)).body).toEqual(
        await appDocument('localhost:3000', 'did:web:localhost%3A3000'),
      )
    }
    for (const domain of ['other.example', 'X', '%ff', 'x'.repeat(3000)]) {
      expect(await world.call('GET', `/apps/${domain}/did.json`)).toMatchObject({
        status: 404,
        body: { code: 'unknown_app' },
      })
    }
  })
})

describe('notify-config', () => {
  it('is what the app declared', async () => {
    const icons = {
      sm: 'https://app.example/s.png',
      md: 'https://app.example/m.png',
      lg: 'https://app.example/l.png',
    }
    await world.apps.describe('app.example', { description: 'An app', url: 'https://app.example/in', icons })
    const answer = await world.routes.request(
      `${PUBLIC_URL}/w3i/v1/notify-config?projectId=any&appDomain=app.example`,
    )
    expect(answer.status).toBe(200)
    expect(await answer.json()).toEqual({
      data: {
        id: 'app.example',
        name: 'App',
        homepage: 'https://app.example/in',
        description: 'An app',
        dapp_url: 'https://app.example/in',
        image_url: icons,
        notificationTypes: [
          { id: NEWS, name: 'News', description: 'What is new', imageUrls: icons },
          { id: OFFERS, name: 'Offers', description: '', imageUrls: icons },
        ],
        isVerified: false,
      },
    })
  })

  it('of an app that declared nothing still has a name, a page and no types', async () => {
    await world.call('POST', `/${world.project.id}/subscribe-topic`, { appDomain: 'bare.example' })
    const none = { sm: '', md: '', lg: '' }
    expect((await world.call('GET', '/w3i/v1/notify-config?appDomain=bare.example')).body).toEqual({
      data: {
        id: 'bare.example',
        name: 'bare.example',
        homepage: 'https://bare.example',
        description: '',
        dapp_url: 'https://bare.example',
        image_url: none,
        notificationTypes: [],
        isVerified: false,
      },
    })
  })

  it('answers 404 for an unknown domain and 422 for none', async () => {
    const unknown = await world.call('GET', '/w3i/v1/notify-config?projectId=p&appDomain=other.example')
    expect(unknown).toMatchObject({
      status: 404,
      body: { error: 'The app is not registered: other.example', code: 'unknown_app' },
    })
    for (const query of ['', '?appDomain=', '?appDomain=X', `?appDomain=${'x'.repeat(300)}`]) {
      const answer = await world.call('GET', `/w3i/v1/notify-config${query}`)
      expect(answer).toMatchObject({ status: 422, body: { field: 'appDomain' } })
    }
  })
})

describe('projects', () => {
  it('names the apps that chose to be listed', async () => {
    const projectId = world.project.id
    expect((await world.call('GET', '/w3i/v1/projects')).body).toEqual({ projects: {}, count: 0 })
    await world.apps.enrol({ projectId, domain: 'b.example', name: 'B', listed: true })
    await world.apps.enrol({ projectId, domain: 'c.example', listed: true })
    const item = (domain: string, name: string) => ({
      id: domain,
      name,
      homepage: `https://${domain}`,
      description: '',
      dapp_url: `https://${domain}`,
      image_url: { sm: '', md: '', lg: '' },
      is_verified: false,
    })
    const b = item('b.example', 'B')
    const c = item('c.example', 'c.example')
    const projects = async (query: string) => (await world.call('GET', `/w3i/v1/projects${query}`)).body
    expect(await projects('')).toEqual({ projects: { 'b.example': b, 'c.example': c }, count: 2 })
    expect(await projects('?projectId=x&entries=1&page=2&is_verified=true')).toEqual({
      projects: { 'c.example': c },
      count: 2,
    })
    expect(await projects('?entries=many&page=-1')).toEqual(await projects(''))
  })
})
