/**
 * Bring one element to another's content by the smallest change, so that what the user has
 * selected, scrolled or focused stays. What could run is left out: the panel has no scripts, and
 * this side does not rely on it.
 */

export function morph(target: Element, html: string): void {
  const template = document.createElement('template');
  template.innerHTML = html;
  children(target, template.content);
}

function children(target: Node, source: Node): void {
  const wanted = [...source.childNodes].filter(allowed);
  wanted.forEach((node, index) => {
    const present = target.childNodes[index];
    if (present === undefined) {
      target.appendChild(cleaned(node));
    } else if (present.nodeType !== node.nodeType || present.nodeName !== node.nodeName) {
      target.replaceChild(cleaned(node), present);
    } else if (node instanceof Element) {
      attributes(present as Element, node);
      children(present, node);
    } else if (present.nodeValue !== node.nodeValue) {
      present.nodeValue = node.nodeValue;
    }
  });
  while (target.childNodes.length > wanted.length) {
    target.removeChild(target.lastChild!);
  }
}

function attributes(target: Element, source: Element): void {
  for (const { name, value } of [...source.attributes]) {
    if (harmless(name, value) && target.getAttribute(name) !== value) {
      target.setAttribute(name, value);
    }
  }
  for (const { name } of [...target.attributes]) {
    if (!source.hasAttribute(name)) {
      target.removeAttribute(name);
    }
  }
}

/** A copy of *node* without whatever could run. */
function cleaned(node: Node): Node {
  const copy = document.importNode(node, false);
  if (copy instanceof Element) {
    for (const { name, value } of [...copy.attributes]) {
      if (!harmless(name, value)) {
        copy.removeAttribute(name);
      }
    }
  }
  children(copy, node);
  return copy;
}

function allowed(node: Node): boolean {
  return (
    node.nodeType === Node.TEXT_NODE ||
    (node instanceof Element && !['SCRIPT', 'IFRAME', 'OBJECT', 'EMBED'].includes(node.nodeName.toUpperCase()))
  );
}

function harmless(name: string, value: string): boolean {
  return !name.toLowerCase().startsWith('on') && !/^\s*javascript:/i.test(value);
}
