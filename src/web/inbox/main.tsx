/** The inbox: a wallet's side of everything that this server sends, in a browser. */
import '../shared/theme.css'
import './view/base.css'
import { render } from 'preact'
import { createPage } from './model/page.ts'
import { registerWorker } from './model/worker.ts'
import { App } from './view/app.tsx'

const start = async (): Promise<void> => {
  const root = document.getElementById('page')
  const page = await createPage()
  if (root) render(<App page={page} />, root)
  await registerWorker(page)
}

await start()
