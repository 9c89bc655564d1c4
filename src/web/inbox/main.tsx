/** The inbox: a wallet's side of everything that this server sends, in a browser. */
import '../shared/theme.css'
import './view/base.css'
import { render } from 'preact'
import { createPage, textsWithoutStore } from './model/page.ts'
import { registerWorker } from './model/worker.ts'
import { App } from './view/app.tsx'

const start = async (root: HTMLElement): Promise<void> => {
  const page = await createPage()
  render(<App page={page} />, root)
  await registerWorker(page)
}

const root = document.getElementById('page')
if (root)
  start(root).catch((error: unknown) => {
    console.warn(error)
    // Without a store there is no inbox; with one, all else has failed after it was shown.
    if (root.childElementCount === 0)
      render(<main class="page">{textsWithoutStore().t('error.noStore')}</main>, root)
  })
