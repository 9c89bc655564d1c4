/** The inbox: a wallet's side of everything that this server sends, in a browser. */
import { render } from 'preact'
import '../shared/theme.css'

const root = document.getElementById('page')
if (root) render(<main>Belfry</main>, root)
