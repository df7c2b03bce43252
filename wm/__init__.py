"""World Models (Ha & Schmidhuber 2018) on CarRacing-v3, with a VAE or a VAE-GAN as vision model."""
