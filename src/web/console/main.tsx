/** The console: what an operator sees and does, in a browser. */
import { render } from 'preact'
import '../shared/theme.css'

const root = document.getElementById('page')
if (root) render(<main>Belfry console</main>, root)
