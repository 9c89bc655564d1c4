/** @jsxImportSource react */
import { hydrateRoot } from 'react-dom/client'
import { Page, type Scene } from './page.tsx'

/** What the test leaves in the page, and what it looks at. */
declare global {
  var scene: Scene
  /** Playwright's: the key of the account is in the test. */
  var signInTest: (text: string) => Promise<string>
  /** Sockets that the page has opened. */
  var sockets: WebSocket[]
}

const NativeSocket = globalThis.WebSocket
globalThis.sockets = []
globalThis.WebSocket = class extends NativeSocket {
  constructor(...given: ConstructorParameters<typeof NativeSocket>) {
    super(...given)
    globalThis.sockets.push(this)
  }
}

const root = document.getElementById('root')
if (root) hydrateRoot(root, <Page {...globalThis.scene} sign={(text) => globalThis.signInTest(text)} />)
