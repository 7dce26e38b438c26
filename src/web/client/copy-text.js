// <copy-text data-text="whole"><code>short</code></copy-text>: adds a button that copies the whole text.

const SHOWN_MS = 1_500;

class CopyText extends HTMLElement {
  connectedCallback() {
    if (this.querySelector('button')) return;
    const text = this.dataset['text'] ?? '';
    const button = document.createElement('button');
    button.type = 'button';
    button.className = 'copy';
    button.textContent = 'Copy';
    button.setAttribute('aria-label', `Copy ${text.length > 40 ? `${text.slice(0, 40)}…` : text}`);
    const answer = document.createElement('span');
    answer.className = 'hidden';
    answer.setAttribute('role', 'status');
    button.addEventListener('click', async () => {
      const done = await navigator.clipboard.writeText(text).then(
        () => true,
        () => false,
      );
      button.textContent = done ? 'Copied' : 'Select it';
      answer.textContent = done ? 'Copied.' : 'The browser did not allow it; select the text instead.';
      setTimeout(() => {
        button.textContent = 'Copy';
        answer.textContent = '';
      }, SHOWN_MS);
    });
    this.append(button, answer);
  }
}

customElements.define('copy-text', CopyText);
