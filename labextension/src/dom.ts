/** Elements in a line each. */

export function element<K extends keyof HTMLElementTagNameMap>(
  tag: K,
  className = '',
  textContent = ''
): HTMLElementTagNameMap[K] {
  const made = document.createElement(tag);
  made.className = className;
  made.textContent = textContent;
  return made;
}

export function button(label: string, title: string, act: () => void): HTMLButtonElement {
  const made = element('button', 'nbray-button jp-mod-styled jp-Button', label);
  made.type = 'button';
  made.title = title;
  made.setAttribute('aria-label', `${label}: ${title}`);
  made.addEventListener('click', act);
  return made;
}
